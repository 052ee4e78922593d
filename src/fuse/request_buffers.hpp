#pragma once

#include <cstddef>
#include <vector>

namespace kiseki::fuse {

/// Where requests land: a fixed number of buffers, each laid out so that the payload of a WRITE begins on a page. One
/// mapping, huge pages where the kernel has them; untouched buffers cost nothing. One thread.
class RequestBuffers {
 public:
  /// Bytes of a WRITE before its payload.
  static constexpr std::size_t kFront = 80;

  RequestBuffers(std::size_t payload_bytes, unsigned count);
  ~RequestBuffers();
  RequestBuffers(const RequestBuffers&) = delete;

  /// The first byte of a message, kFront before a page; nullptr when all are out. The one given back last comes first:
  /// it is warm.
  std::byte* take();
  void give_back(std::byte* message);
  std::size_t capacity() const { return kFront + payload_bytes_; }

 private:
  std::size_t payload_bytes_, mapped_bytes_;
  std::byte* base_;
  std::vector<std::byte*> free_;
};

}  // namespace kiseki::fuse
