#include "fuse/request_buffers.hpp"

#include <linux/fuse.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <new>

namespace kiseki::fuse {
namespace {

constexpr std::size_t kPage = 4096, kHugePage = std::size_t{2} << 20;
constexpr std::size_t kLeastPayload = std::size_t{128}
                                      << 10;  // an xattr of 64 KiB with its name, and the kernel's minimum

constexpr std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

}  // namespace

static_assert(RequestBuffers::kFront == sizeof(fuse_in_header) + sizeof(fuse_write_in));

RequestBuffers::RequestBuffers(std::size_t payload_bytes, unsigned count)
    : payload_bytes_(round_up(std::max(payload_bytes, kLeastPayload), kPage)) {
  auto stride = kPage + payload_bytes_;
  mapped_bytes_ = round_up(stride * count, kHugePage) + kHugePage;  // room to begin on a huge page
  void* mapped =
      ::mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  base_ = static_cast<std::byte*>(mapped);
  auto address = reinterpret_cast<std::uintptr_t>(base_);
  auto* first = base_ + (round_up(address, kHugePage) - address);
  ::madvise(first, round_up(stride * count, kHugePage), MADV_HUGEPAGE);  // refused on kernels without: no matter
  for (unsigned i = count; i-- > 0;) free_.push_back(first + stride * i + kPage - kFront);
}

RequestBuffers::~RequestBuffers() { ::munmap(base_, mapped_bytes_); }

std::byte* RequestBuffers::take() {
  if (free_.empty()) return nullptr;
  auto* out = free_.back();
  free_.pop_back();
  return out;
}

void RequestBuffers::give_back(std::byte* message) { free_.push_back(message); }

}  // namespace kiseki::fuse
