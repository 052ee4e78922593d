#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "core/byte_range.hpp"
#include "core/ids.hpp"
#include "vfs/data.hpp"

namespace kiseki::vfs {

/// How much may be read ahead, for the streams of a mount.
struct ReadaheadLimits {
  std::uint64_t block_bytes = 4 << 20;
  std::uint64_t most = 32 << 20;
};

/// What memory leaves for reading ahead at this moment.
struct AheadRoom {
  std::uint64_t window = 0;  ///< of each stream: what was fetched further ahead would be evicted before it is read
  std::uint64_t start = 0;   ///< bytes that may join those under way
};

/// Recognises a sequential reader of one handle and says what to fetch before it asks. Requests of one reader may
/// arrive out of order and on several loops (the kernel's own read-ahead does that). Thread-safe.
struct ReadStream {
 public:
  ReadStream(ReadaheadLimits limits, std::shared_ptr<std::atomic<int>> streaming)
      : limits_(limits), streaming_(std::move(streaming)) {}
  ~ReadStream();

  /// Notes a read of [offset, offset + size) of a file of `length` bytes; returns what to read ahead now (maybe empty),
  /// which the caller then does: what there is no room for now comes later, in order.
  ByteRange advance(std::uint64_t offset, std::uint64_t size, std::uint64_t length, AheadRoom room);
  bool sequential() const;

 private:
  void restart(std::uint64_t offset);
  void set_window(std::uint64_t bytes);

  ReadaheadLimits limits_;
  std::shared_ptr<std::atomic<int>> streaming_;  // counts the streams with a window
  mutable std::mutex mutex_;                     // guards all below
  std::uint64_t next_ = 0;                       // furthest end of this pass
  std::uint64_t passed_ = 0;                     // bytes read in it
  std::uint64_t window_ = 0;                     // 0: not sequential
  std::uint64_t ahead_ = 0;                      // fetched, or being fetched, up to here
};

}  // namespace kiseki::vfs
