#include "chunk/chunk_view.hpp"

#include <algorithm>

#include "core/shown_slices.hpp"

namespace kiseki::chunk {

ChunkView ChunkView::of(const Slices& records) {
  ChunkView view;
  view.pieces_ = shown_slices(records);
  return view;
}

Slices::const_iterator ChunkView::first_after(std::uint32_t pos) const {
  return std::partition_point(pieces_.begin(), pieces_.end(),
                              [pos](const Slice& piece) { return std::uint64_t{piece.pos} + piece.len <= pos; });
}

}  // namespace kiseki::chunk
