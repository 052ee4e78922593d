#include "object/memory_store.hpp"

#include <algorithm>
#include <cstring>
#include <ctime>

namespace kiseki::object {

Async<std::size_t> MemoryStore::get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) {
  std::shared_ptr<const std::vector<std::byte>> bytes;
  {
    std::lock_guard lock(mutex_);
    auto found = objects_.find(key);
    if (found == objects_.end()) co_return make_error_code(ObjectErrc::not_found);
    bytes = found->second.bytes;
  }
  if (offset >= bytes->size()) co_return std::size_t{0};
  auto size = std::min<std::size_t>(into.size(), bytes->size() - offset);
  std::memcpy(into.data(), bytes->data() + offset, size);
  co_return size;
}

Async<void> MemoryStore::put(ObjectKey key, Body body) {
  std::vector<std::byte> bytes;
  bytes.reserve(body.size());
  for (auto piece : body.pieces) bytes.insert(bytes.end(), piece.begin(), piece.end());
  Object object{std::make_shared<const std::vector<std::byte>>(std::move(bytes)), ::time(nullptr)};
  std::lock_guard lock(mutex_);
  objects_.insert_or_assign(std::move(key), std::move(object));
  co_return Result<void>{};
}

Async<void> MemoryStore::remove(ObjectKey key) {
  std::lock_guard lock(mutex_);
  objects_.erase(key);
  co_return Result<void>{};
}

Async<ObjectInfo> MemoryStore::head(ObjectKey key) {
  std::lock_guard lock(mutex_);
  auto found = objects_.find(key);
  if (found == objects_.end()) co_return make_error_code(ObjectErrc::not_found);
  co_return ObjectInfo{key, found->second.bytes->size(), found->second.modified, false};
}

Async<ObjectPage> MemoryStore::list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) {
  ObjectPage page;
  std::lock_guard lock(mutex_);
  for (auto at = objects_.lower_bound(prefix); at != objects_.end() && at->first.starts_with(prefix); ++at) {
    ObjectInfo info{at->first, at->second.bytes->size(), at->second.modified, false};
    auto cut = delimiter.empty() ? std::string::npos : at->first.find(delimiter, prefix.size());
    if (cut != std::string::npos) info = {at->first.substr(0, cut + delimiter.size()), 0, at->second.modified, true};
    if (info.key <= after || (!page.objects.empty() && page.objects.back().key == info.key)) continue;
    if (page.objects.size() == limit) {
      page.more = true;
      break;
    }
    page.objects.push_back(std::move(info));
  }
  co_return page;
}

Async<void> MemoryStore::create() { co_return Result<void>{}; }

std::size_t MemoryStore::count() const {
  std::lock_guard lock(mutex_);
  return objects_.size();
}

}  // namespace kiseki::object
