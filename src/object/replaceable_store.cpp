#include "object/replaceable_store.hpp"

namespace kiseki::object {

void ReplaceableStore::replace(StorePtr next) {
  std::lock_guard lock(mutex_);
  current_.swap(next);
}

StorePtr ReplaceableStore::current() const {
  std::lock_guard lock(mutex_);
  return current_;
}

Async<std::size_t> ReplaceableStore::get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) {
  auto store = current();
  co_return co_await store->get(std::move(key), offset, into);
}

Async<void> ReplaceableStore::put(ObjectKey key, Body body) {
  auto store = current();
  co_return co_await store->put(std::move(key), std::move(body));
}

Async<void> ReplaceableStore::remove(ObjectKey key) {
  auto store = current();
  co_return co_await store->remove(std::move(key));
}

Async<void> ReplaceableStore::remove_all(std::vector<ObjectKey> keys) {
  auto store = current();
  co_return co_await store->remove_all(std::move(keys));
}

Async<ObjectInfo> ReplaceableStore::head(ObjectKey key) {
  auto store = current();
  co_return co_await store->head(std::move(key));
}

Async<ObjectPage> ReplaceableStore::list(std::string prefix, std::string after, std::size_t limit,
                                         std::string delimiter) {
  auto store = current();
  co_return co_await store->list(std::move(prefix), std::move(after), limit, std::move(delimiter));
}

Async<void> ReplaceableStore::create() {
  auto store = current();
  co_return co_await store->create();
}

}  // namespace kiseki::object
