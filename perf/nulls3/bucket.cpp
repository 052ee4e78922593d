#include "bucket.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace nulls3 {

namespace {
constexpr std::size_t kFileBytes = 128 << 10;  // from here on an object has a file of its own

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }
}  // namespace

Bytes::Bytes(std::size_t size) : size_(size) {
  if (size < kFileBytes) {
    data_ = new std::byte[size];
    return;
  }
  file_ = ::memfd_create("object", MFD_CLOEXEC);
  if (file_ < 0 || ::ftruncate(file_, static_cast<off_t>(size)) != 0) fail("a file in memory");
  auto* map = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file_, 0);
  if (map == MAP_FAILED) fail("mapping a file in memory");
  data_ = static_cast<std::byte*>(map);
}

Bytes::~Bytes() {
  if (file_ < 0) {
    delete[] data_;
    return;
  }
  ::munmap(data_, size_);
  ::close(file_);
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
