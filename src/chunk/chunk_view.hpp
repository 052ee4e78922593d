#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/slice.hpp"

namespace kiseki::chunk {

/// Holes are told, and kept by compaction, in whole pages: programs take the granularity they find for the size of a
/// disk block.
inline constexpr std::uint32_t kHoleBytes = 4096;

/// Bytes [begin, end) of a chunk.
struct Stretch {
  std::uint32_t begin = 0, end = 0;
  std::uint32_t size() const { return end - begin; }
  friend bool operator==(const Stretch&, const Stretch&) = default;
};

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
  /// Where data is, in order. A hole of less than one whole page between two pieces counts as data.
  std::vector<Stretch> data() const;

 private:
  Slices pieces_;
};
using ChunkViewPtr = std::shared_ptr<const ChunkView>;

}  // namespace kiseki::chunk
