#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/clock.hpp"
#include "core/ids.hpp"
#include "core/result.hpp"
#include "core/slice.hpp"
#include "meta/ops.hpp"

namespace kiseki::vfs {

using meta::Attr;

/// What the data path asks of the metadata: the seam that lets its tests do without any. Any loop may call.
class SliceMeta {
 public:
  virtual ~SliceMeta() = default;
  virtual Async<SliceId> new_slice_id() = 0;
  virtual Async<Slices> read_slices(Ino ino, ChunkIndex index) = 0;

  struct Placed {  ///< one record and the chunk it goes to
    ChunkIndex index;
    Slice slice;
  };
  struct Length {  ///< records a chunk has now, and how many of them are new
    ChunkIndex index;
    std::uint32_t records = 0, added = 0;
  };
  struct Written {
    std::vector<Length> chunks;  ///< each chunk touched, once
    Result<Attr> attr;           ///< after, with what was ordered; or why that was refused
    bool moved = false;          ///< other clients have appended: the records are not where they were meant to be
  };
  /// Appends the records in order, all or none, and grows the file over them; then does what is ordered, in the same
  /// commit. ENOENT when the inode is gone, ENOSPC/EDQUOT over a limit.
  virtual Async<Written> write_slices(Ino ino, std::vector<Placed> records, Timestamp mtime,
                                      std::optional<meta::AttrOrder> with, meta::Placing placing) = 0;
  /// Replaces records [first, first + count) of a chunk that still begins with `seen` by those of a new slice. ESTALE
  /// when it does not: then the new slice is released.
  virtual Async<void> compacted(Ino ino, ChunkIndex index, Slices seen, std::uint32_t first, std::uint32_t count,
                                meta::CompactedSlice with) = 0;
};

/// The real one. `client` outlives it.
std::shared_ptr<SliceMeta> make_slice_meta(meta::Client& client);

}  // namespace kiseki::vfs
