#include "bucket.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <system_error>

namespace nulls3 {

namespace {
constexpr std::size_t kHugePage = 2 << 20;
}

Bytes::Bytes(std::size_t size) : size_(size) {
  if (size < kHugePage) {
    data_ = new std::byte[size];
    return;
  }
  auto* map = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "memory for an object");
  ::madvise(map, size, MADV_HUGEPAGE);
  data_ = static_cast<std::byte*>(map);
}

Bytes::~Bytes() {
  if (size_ < kHugePage) {
    delete[] data_;
  } else {
    ::munmap(data_, size_);
  }
}

void Objects::put(const std::string& path, Object object) {
  auto added = object.bytes ? object.size : 0;
  std::unique_lock lock(mutex_);
  std::swap(objects_[path], object);  // the old bytes go after the lock
  bytes_ += added - (object.bytes ? object.size : 0);
  lock.unlock();
}

bool Objects::find(const std::string& path, Object& out) const {
  std::shared_lock lock(mutex_);
  auto at = objects_.find(path);
  if (at == objects_.end()) return false;
  out = at->second;
  return true;
}

void Objects::erase(const std::string& path) {
  Object old;
  std::unique_lock lock(mutex_);
  auto at = objects_.find(path);
  if (at == objects_.end()) return;
  old = std::move(at->second);
  objects_.erase(at);
  bytes_ -= old.bytes ? old.size : 0;
  lock.unlock();
}

Objects::Page Objects::list(const std::string& bucket, const std::string& prefix, const std::string& after,
                            std::size_t most, const std::string& delimiter) const {
  Page page;
  auto root = bucket + "/", begin = root + prefix;
  std::shared_lock lock(mutex_);
  auto at = after < prefix ? objects_.lower_bound(begin) : objects_.upper_bound(root + after);
  while (at != objects_.end() && at->first.starts_with(begin)) {
    if (page.entries.size() == most) {
      page.more = true;
      return page;
    }
    auto key = at->first.substr(root.size());
    auto cut = delimiter.empty() ? std::string::npos : key.find(delimiter, prefix.size());
    if (cut == std::string::npos) {
      page.entries.push_back({key, at->second, false});
      ++at;
      continue;
    }
    auto shared = key.substr(0, cut + delimiter.size());
    if (shared > after) page.entries.push_back({shared, {}, true});
    while (at != objects_.end() && at->first.starts_with(root + shared)) ++at;
  }
  return page;
}

}  // namespace nulls3
