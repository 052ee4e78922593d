#include "object/timed_store.hpp"

#include "core/async.hpp"

namespace kiseki::object {

namespace {

template <class T>
Async<T> within(std::chrono::milliseconds timeout, Async<T> op) {
  return timeout.count() > 0 ? with_timeout(timeout, std::move(op)) : std::move(op);
}

}  // namespace

Async<std::size_t> TimedStore::get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) {
  return within(timeouts_.get, inner_->get(std::move(key), offset, into));
}

Async<void> TimedStore::put(ObjectKey key, Body body) {
  return within(timeouts_.put, inner_->put(std::move(key), std::move(body)));
}

Async<void> TimedStore::remove(ObjectKey key) { return within(timeouts_.put, inner_->remove(std::move(key))); }

Async<void> TimedStore::remove_all(std::vector<ObjectKey> keys) {
  return within(timeouts_.put, inner_->remove_all(std::move(keys)));
}

Async<ObjectInfo> TimedStore::head(ObjectKey key) { return within(timeouts_.get, inner_->head(std::move(key))); }

Async<ObjectPage> TimedStore::list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) {
  return within(timeouts_.get, inner_->list(std::move(prefix), std::move(after), limit, std::move(delimiter)));
}

}  // namespace kiseki::object
