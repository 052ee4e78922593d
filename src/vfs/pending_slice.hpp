#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <system_error>
#include <vector>

#include "chunk/slice_writer.hpp"
#include "core/async.hpp"
#include "core/ids.hpp"
#include "vfs/slice_meta.hpp"

namespace kiseki::vfs {

/// A slice on its way: bytes in memory or uploaded, and where in the file they show. Unlike a plain slice it may gather
/// writes from many places of one file; each place becomes a record of its own that shows its part of the slice (as
/// copy_file_range leaves them), so a thousand scattered small writes cost one object and one commit.
/// Guarded by the mutex of the file it belongs to.
class PendingSlice {
 public:
  using Time = std::chrono::steady_clock::time_point;
  PendingSlice(std::uint64_t number_in_file, meta::Placing at, chunk::BlockLayout layout, BufferArena& arena, Time now)
      : number(number_in_file), placing(at), started(now), written(now), writer(layout, arena) {}

  /// Takes bytes for file range [at, at + data.size()), which does not cross a chunk border: changes in place what may
  /// still change, appends the rest. Returns how far it came; less than all only for want of memory. `spare` is used up
  /// before new memory is asked for.
  std::size_t take(std::uint64_t at, std::span<const std::byte> data, BufferPtr& spare);

  bool overlaps(std::uint64_t begin, std::uint64_t end) const;
  bool covers(std::uint64_t begin, std::uint64_t end) const;
  /// Whether a write at `at` goes on where the last one ended, in the same chunk.
  bool continues_at(std::uint64_t at) const { return at == tail_ && at % kChunkBytes != 0; }
  bool has_room(std::size_t bytes) const;
  std::uint64_t end() const;  ///< of the furthest byte shown

  /// The records that show this slice, in order of position, once its id is known.
  std::vector<SliceMeta::Placed> records() const;

  // Life of the slice; changed by its file only.
  const std::uint64_t number;  ///< creation order in the file: also the order of commits
  meta::Placing placing;       ///< at_end: appended, and nothing else; where exactly its commit decides
  bool goes_on = false;  ///< at_end: the next slice begins with the rest of what was appended last, and belongs to it
  Time started, written;
  chunk::SliceWriter writer;
  bool frozen = false;        ///< takes no more bytes; the last block was handed out
  std::size_t uploading = 0;  ///< blocks handed out and not yet stored
  std::error_code error;      ///< the first upload that failed for good
  SliceId id;                 ///< 0 until the first upload
  Mutex id_gate;              ///< one coroutine asks for the id
  Timestamp mtime;

 private:
  struct Extent {
    std::uint32_t len = 0, off = 0;  ///< bytes [off, off + len) of the slice
  };
  using Extents = std::map<std::uint64_t, Extent>;  ///< by file offset; disjoint, within one chunk each
  void show(std::uint64_t at, std::uint32_t len, std::uint32_t off);
  void carve(std::uint64_t begin, std::uint64_t end);
  Extents::const_iterator first_after(std::uint64_t at) const;
  std::size_t append(std::uint64_t at, std::span<const std::byte> data, BufferPtr& spare);

  Extents shown_;
  std::uint64_t tail_ = 0;
};

}  // namespace kiseki::vfs
