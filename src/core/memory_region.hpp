#pragma once

// Internal to core: where the bytes of the arena come from. Not thread-safe; the arena's mutex guards them.

#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace kiseki::detail {

inline constexpr std::size_t kUnitBytes = std::size_t{64} << 10;
inline constexpr unsigned kSizeClasses = 9;  ///< 64 KiB << 0 .. 64 KiB << 8 = 16 MiB
constexpr std::size_t class_bytes(unsigned size_class) { return kUnitBytes << size_class; }

/// Address space for all buffers of one size, reserved at once and made usable as it is needed. A slot that was given
/// back is warm while it keeps its memory, cold after the kernel took it.
class Region {
 public:
  Region(std::size_t slot_bytes, std::size_t slots);  ///< throws std::system_error
  ~Region();
  Region(const Region&) = delete;

  std::byte* take();  ///< a warm slot if there is one; nullptr when the kernel refuses memory
  bool has_warm() const { return !warm_.empty(); }
  void put_warm(std::byte* slot) { warm_.push_back(index_of(slot)); }
  std::byte* take_warm();            ///< only if has_warm()
  void cool(std::byte* slot) const;  ///< gives its memory to the kernel; slow, needs no lock
  void put_cold(std::byte* slot) { cold_.push_back(index_of(slot)); }
  bool owns(const std::byte* p) const { return p >= base_ && p < base_ + slot_bytes_ * slots_; }
  std::size_t slot_bytes() const { return slot_bytes_; }

 private:
  std::uint32_t index_of(const std::byte* slot) const {
    return static_cast<std::uint32_t>(static_cast<std::size_t>(slot - base_) / slot_bytes_);
  }
  std::byte* slot(std::uint32_t index) const { return base_ + slot_bytes_ * index; }
  bool grow();

  std::size_t slot_bytes_, slots_;
  std::byte* map_ = nullptr;
  std::size_t map_bytes_ = 0;
  std::byte* base_ = nullptr;
  std::size_t fresh_ = 0;   // slots from here on were never handed out
  std::size_t usable_ = 0;  // slots below are mapped read-write
  bool refused_ = false;    // said so once
  std::vector<std::uint32_t> warm_, cold_;
};

/// Memory mapped from an unlinked file of a fixed size, allocated on disk in advance: a full disk shows at start, not
/// as SIGBUS. Split and merged by halves (a buddy allocator).
class OverflowFile {
 public:
  OverflowFile(const std::string& dir, std::size_t bytes);  ///< throws std::system_error
  ~OverflowFile();
  OverflowFile(const OverflowFile&) = delete;

  std::byte* take(unsigned size_class);  ///< nullptr when no piece of that size is free
  void put(std::byte* data, unsigned size_class);
  bool owns(const std::byte* p) const { return p >= base_ && p < base_ + bytes_; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_;
  std::byte* base_ = nullptr;
  std::array<std::set<std::uint32_t>, kSizeClasses> free_;  // by size class: first units of free pieces
};

}  // namespace kiseki::detail
