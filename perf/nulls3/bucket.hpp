#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

namespace nulls3 {

/// The bytes of one object, never changed once they are there. Big ones lie in huge pages where the kernel has some.
class Bytes {
 public:
  explicit Bytes(std::size_t size);
  ~Bytes();
  Bytes(const Bytes&) = delete;

  std::size_t size() const { return size_; }
  std::span<std::byte> writable() { return {data_, size_}; }
  std::span<const std::byte> data() const { return {data_, size_}; }

 private:
  std::size_t size_;
  std::byte* data_ = nullptr;
};

struct Object {
  std::shared_ptr<const Bytes> bytes;  ///< null: what was put is discarded, a pattern is given back
  std::size_t size = 0;
  std::string headers;  ///< x-amz-meta-...: lines to give back
  std::int64_t modified = 0;
};

/// All objects of all buckets, by "bucket/key". Thread-safe.
class Objects {
 public:
  void put(const std::string& path, Object object);
  bool find(const std::string& path, Object& out) const;
  void erase(const std::string& path);
  struct Listed {
    std::string key;
    Object object;
    bool is_prefix = false;
  };
  struct Page {
    std::vector<Listed> entries;
    bool more = false;
  };
  Page list(const std::string& bucket, const std::string& prefix, const std::string& after, std::size_t most,
            const std::string& delimiter) const;
  std::size_t bytes() const { return bytes_; }

 private:
  mutable std::shared_mutex mutex_;  // guards objects_
  std::map<std::string, Object> objects_;
  std::atomic<std::size_t> bytes_{0};
};

}  // namespace nulls3
