#include "fuse/request_buffers.hpp"

#include <linux/fuse.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <new>

namespace kiseki::fuse {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kLeastPayload = std::size_t{128}
                                      << 10;  // an xattr of 64 KiB with its name, and the kernel's minimum

constexpr std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

std::byte* map(std::size_t bytes) {
  void* out = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return out == MAP_FAILED ? nullptr : static_cast<std::byte*>(out);
}

}  // namespace

static_assert(RequestBuffers::kFront == sizeof(fuse_in_header) + sizeof(fuse_write_in));

RequestBuffers::RequestBuffers(std::size_t payload_bytes, unsigned kept)
    : payload_bytes_(round_up(std::max(payload_bytes, kLeastPayload), kPage)) {
  mapped_bytes_ = round_up(stride() * kept, kHugePage) + kHugePage;  // room to begin on a huge page
  base_ = map(mapped_bytes_);
  if (base_ == nullptr) throw std::bad_alloc();
  auto address = reinterpret_cast<std::uintptr_t>(base_);
  auto* first = base_ + (round_up(address, kHugePage) - address);
  ::madvise(first, round_up(stride() * kept, kHugePage), MADV_HUGEPAGE);  // refused on kernels without: no matter
  for (unsigned i = kept; i-- > 0;) free_.push_back(first + stride() * i + kPage - kFront);
}

RequestBuffers::~RequestBuffers() { ::munmap(base_, mapped_bytes_); }

std::byte* RequestBuffers::take() {
  if (free_.empty()) {
    auto* mapped = map(stride());
    return mapped == nullptr ? nullptr : mapped + kPage - kFront;
  }
  auto* out = free_.back();
  free_.pop_back();
  return out;
}

void RequestBuffers::give_back(std::byte* message) {
  if (message >= base_ && message < base_ + mapped_bytes_) return free_.push_back(message);
  ::munmap(message + kFront - kPage, stride());
}

}  // namespace kiseki::fuse
