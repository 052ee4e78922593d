#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/slice.hpp"

namespace kiseki::chunk {

/// What a chunk's slice list shows: disjoint pieces of slices in order of position. Where no piece is, the chunk reads
/// as zeros: never written, or a hole record on top. Immutable.
class ChunkView {
 public:
  /// Later records cover earlier ones. Bytes past the chunk's end or past their slice's end are not shown. O(n log n).
  static ChunkView of(const Slices& records);

  const Slices& pieces() const& { return pieces_; }
  const Slices& pieces() const&& = delete;  ///< of a temporary: a loop over it would walk freed memory
  std::size_t bytes() const { return sizeof(ChunkView) + pieces_.capacity() * sizeof(Slice); }
  /// The first piece that ends after `pos`; pieces().end() if none does.
  Slices::const_iterator first_after(std::uint32_t pos) const;

 private:
  Slices pieces_;
};
using ChunkViewPtr = std::shared_ptr<const ChunkView>;

}  // namespace kiseki::chunk
