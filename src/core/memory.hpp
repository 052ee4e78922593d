#pragma once

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "core/result.hpp"

namespace kiseki {

class BufferArena;

/// Memory of the arena: a page of 64 KiB up to a block of 16 MiB, aligned to 4 KiB. Shared by reference; goes back to
/// the arena with its last owner. Any thread.
class Buffer : public boost::intrusive_ref_counter<Buffer, boost::thread_safe_counter> {
 public:
  std::byte* data() noexcept { return data_; }
  const std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  std::span<std::byte> bytes() noexcept { return {data_, size_}; }
  ~Buffer();

 private:
  friend class BufferArena;
  Buffer(BufferArena& arena, std::byte* data, std::size_t size) : arena_(arena), data_(data), size_(size) {}
  BufferArena& arena_;
  std::byte* data_;
  std::size_t size_;
};
using BufferPtr = boost::intrusive_ptr<Buffer>;

/// The one accountant: every byte of write buffers, read buffers, read-ahead and block cache comes from here, so that
/// the sum never passes the limit. Over it, `allocate` first asks the reclaimers (caches give back), then waits, in
/// order. Freed memory is kept for reuse up to a small reserve, the rest goes back to the kernel (MADV_DONTNEED /
/// munmap).
class BufferArena {
 public:
  struct Options {
    std::size_t limit_bytes = std::size_t{300} << 20;
    std::string overflow_dir{};  ///< not empty: beyond the limit, memory is mapped from an unlinked file there
    std::size_t overflow_bytes = 0;
  };
  explicit BufferArena(Options options);
  ~BufferArena();  ///< every Buffer must be gone
  BufferArena(const BufferArena&) = delete;

  /// Rounded up to the next size class: 64 KiB, 128 KiB, ... 16 MiB. Not zeroed. nullptr when it would pass the limit.
  BufferPtr try_allocate(std::size_t bytes);
  /// Waits until the budget allows it (first come, first served). Errors: EINVAL over 16 MiB or over the limit;
  /// ECANCELED.
  Async<BufferPtr> allocate(std::size_t bytes);

  /// Called with the bytes that are missing when an allocation would pass the limit; gives back what it can (a cache
  /// evicts) and returns how much. Must not allocate from the arena; any thread.
  using Reclaimer = std::function<std::size_t(std::size_t bytes)>;
  void add_reclaimer(Reclaimer reclaimer);

  std::size_t used_bytes() const noexcept;
  std::size_t limit_bytes() const noexcept;
  /// How tight memory is, 0 (free) .. 1 (at the limit, counting reclaimable caches as used).
  double pressure() const noexcept;
  std::size_t waiting() const noexcept;         ///< coroutines in `allocate`
  std::size_t reserved_bytes() const noexcept;  ///< free but kept for reuse; used + reserved never pass the limit
  void trim();                                  ///< gives that reserve back to the kernel: for idle times

 private:
  friend class Buffer;
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace kiseki
