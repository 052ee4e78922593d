#include "core/memory_region.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <system_error>
#include <utility>

#include "core/log.hpp"
#include "core/result.hpp"

namespace kiseki::detail {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

[[noreturn]] void fail(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

}  // namespace

Region::Region(std::size_t slot_bytes, std::size_t slots) : slot_bytes_(slot_bytes), slots_(slots) {
  if (slots == 0) return;
  auto bytes = slot_bytes * slots;
  map_bytes_ = bytes + kHugePage;
  auto* map = ::mmap(nullptr, map_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) fail(errno, "reserving address space for buffers");
  map_ = static_cast<std::byte*>(map);
  auto address = reinterpret_cast<std::uintptr_t>(map_);
  base_ = map_ + ((address + kHugePage - 1) / kHugePage * kHugePage - address);
  // Huge pages where whole ones are used; elsewhere they would make more resident than was handed out. Advice only.
  (void)::madvise(base_, bytes, slot_bytes >= kHugePage ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

Region::~Region() {
  if (map_) ::munmap(map_, map_bytes_);
}

bool Region::grow() {
  if (usable_ == slots_) return false;
  auto step = std::clamp<std::size_t>((std::size_t{4} << 20) / slot_bytes_, 1, slots_ - usable_);
  if (::mprotect(base_ + usable_ * slot_bytes_, step * slot_bytes_, PROT_READ | PROT_WRITE) != 0) {
    if (!std::exchange(refused_, true))
      log::error("memory.refused", {{"bytes", step * slot_bytes_}, {"error", posix(errno)}});
    return false;
  }
  usable_ += step;
  return true;
}

std::byte* Region::take() {
  if (has_warm()) return take_warm();
  if (!cold_.empty()) {
    auto index = cold_.back();
    cold_.pop_back();
    return slot(index);
  }
  if (fresh_ == usable_ && !grow()) return nullptr;
  return slot(static_cast<std::uint32_t>(fresh_++));
}

std::byte* Region::take_warm() {
  auto index = warm_.back();
  warm_.pop_back();
  return slot(index);
}

void Region::cool(std::byte* slot) const { (void)::madvise(slot, slot_bytes_, MADV_DONTNEED); }

OverflowFile::OverflowFile(const std::string& dir, std::size_t bytes) : bytes_(bytes / kUnitBytes * kUnitBytes) {
  auto name = dir + "/kiseki-overflow-XXXXXX";
  auto fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) fail(errno, "creating a file in " + dir);
  ::unlink(name.c_str());
  auto refused = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes_));
  auto* map = refused ? MAP_FAILED : ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  auto error = refused ? refused : errno;
  ::close(fd);
  if (map == MAP_FAILED) fail(error, "allocating an overflow file in " + dir);
  base_ = static_cast<std::byte*>(map);
  auto units = bytes_ / kUnitBytes;
  for (std::size_t unit = 0; unit < units;) {  // the largest aligned pieces that fit
    unsigned c = kSizeClasses - 1;
    while (unit % (std::size_t{1} << c) != 0 || unit + (std::size_t{1} << c) > units) --c;
    free_[c].insert(static_cast<std::uint32_t>(unit));
    unit += std::size_t{1} << c;
  }
}

OverflowFile::~OverflowFile() { ::munmap(base_, bytes_); }

std::byte* OverflowFile::take(unsigned size_class) {
  auto from = size_class;
  while (from < kSizeClasses && free_[from].empty()) ++from;
  if (from == kSizeClasses) return nullptr;
  auto unit = *free_[from].begin();
  free_[from].erase(free_[from].begin());
  while (from > size_class) {
    --from;
    free_[from].insert(unit + (1u << from));
  }
  return base_ + unit * kUnitBytes;
}

void OverflowFile::put(std::byte* data, unsigned size_class) {
  // Out of the resident set; what the page cache still holds is the kernel's to drop.
  (void)::madvise(data, class_bytes(size_class), MADV_DONTNEED);
  auto unit = static_cast<std::uint32_t>(static_cast<std::size_t>(data - base_) / kUnitBytes);
  while (size_class + 1 < kSizeClasses && free_[size_class].erase(unit ^ (1u << size_class)) == 1) {
    unit &= ~(1u << size_class);
    ++size_class;
  }
  free_[size_class].insert(unit);
}

}  // namespace kiseki::detail
