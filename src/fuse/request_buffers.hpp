#pragma once

#include <cstddef>
#include <vector>

namespace kiseki::fuse {

/// Where requests land: buffers laid out so that the payload of a WRITE begins on a page. A few are kept, in one
/// mapping of huge pages where the kernel has them; while all of those are out, more are mapped one by one and go back
/// at once. Untouched pages cost nothing. One thread.
class RequestBuffers {
 public:
  /// Bytes of a WRITE before its payload.
  static constexpr std::size_t kFront = 80;

  RequestBuffers(std::size_t payload_bytes, unsigned kept);
  ~RequestBuffers();
  RequestBuffers(const RequestBuffers&) = delete;

  /// The first byte of a message, kFront before a page; nullptr when the system has no memory. The one given back last
  /// comes first: it is warm.
  std::byte* take();
  void give_back(std::byte* message);
  std::size_t capacity() const { return kFront + payload_bytes_; }

 private:
  std::size_t stride() const { return kPage + payload_bytes_; }
  static constexpr std::size_t kPage = 4096;
  std::size_t payload_bytes_, mapped_bytes_;
  std::byte* base_;
  std::vector<std::byte*> free_;
};

}  // namespace kiseki::fuse
