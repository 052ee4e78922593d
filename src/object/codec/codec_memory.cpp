#include "object/codec/codec_memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <system_error>

namespace kiseki::object {

namespace {
constexpr std::size_t kKernelPage = 4096;
constexpr std::size_t kWarmBytes = std::size_t{16} << 20;  // kept resident for the next ones

std::size_t whole_pages(std::size_t bytes) { return (bytes + kKernelPage - 1) / kKernelPage * kKernelPage; }
}  // namespace

CodecMemory::CodecMemory(std::size_t slot_bytes, std::size_t slots)
    : slot_bytes_(whole_pages(slot_bytes)), slots_(slots), permits_(slots) {
  auto* map =
      ::mmap(nullptr, total_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "reserving memory for codecs");
  base_ = static_cast<std::byte*>(map);
  for (std::size_t i = slots_; i-- > 0;) free_.push_back(base_ + i * slot_bytes_);
}

CodecMemory::~CodecMemory() {
  assert(free_.size() == slots_ && "a slot outlives its memory");
  ::munmap(base_, total_bytes());
}

asio::awaitable<CodecMemory::Slot> CodecMemory::take() {
  auto permit = co_await permits_.acquire();
  std::lock_guard lock(mutex_);
  auto* data = free_.back();
  free_.pop_back();
  co_return Slot(*this, data, std::move(permit));
}

/// The slots used last stay resident, as far as kWarmBytes go; the memory of the others is the kernel's again. One that
/// is being emptied is in nobody's hands; there are always enough others, because its last owner still has the permit.
void CodecMemory::give_back(std::byte* data) noexcept {
  auto warm = std::max<std::size_t>(1, kWarmBytes / slot_bytes_);
  std::byte* cold = nullptr;
  {
    std::lock_guard lock(mutex_);
    free_.push_back(data);
    if (free_.size() <= warm) return;
    auto oldest = free_.end() - static_cast<std::ptrdiff_t>(warm) - 1;
    cold = *oldest;
    free_.erase(oldest);
  }
  ::madvise(cold, slot_bytes_, MADV_DONTNEED);
  std::lock_guard lock(mutex_);
  free_.insert(free_.begin(), cold);
}

}  // namespace kiseki::object
