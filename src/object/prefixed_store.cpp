#include "object/prefixed_store.hpp"

namespace kiseki::object {

Async<std::size_t> PrefixedStore::get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) {
  return inner_->get(prefix_ + key, offset, into);
}
Async<void> PrefixedStore::put(ObjectKey key, Body body) { return inner_->put(prefix_ + key, std::move(body)); }
Async<void> PrefixedStore::remove(ObjectKey key) { return inner_->remove(prefix_ + key); }

Async<void> PrefixedStore::remove_all(std::vector<ObjectKey> keys) {
  for (auto& key : keys) key.insert(0, prefix_);
  return inner_->remove_all(std::move(keys));
}

Async<ObjectInfo> PrefixedStore::head(ObjectKey key) {
  CO_TRY(auto info, co_await inner_->head(prefix_ + key));
  info.key = std::move(key);
  co_return info;
}

Async<ObjectPage> PrefixedStore::list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) {
  auto inner_after = after.empty() ? std::string() : prefix_ + after;
  CO_TRY(auto page, co_await inner_->list(prefix_ + prefix, inner_after, limit, delimiter));
  for (auto& object : page.objects) object.key.erase(0, prefix_.size());
  co_return page;
}

}  // namespace kiseki::object
