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

std::vector<Stretch> ChunkView::data() const {
  std::vector<Stretch> stretches;
  for (const auto& piece : pieces_) {
    auto end = piece.pos + piece.len;
    if (!stretches.empty() && piece.pos / kHoleBytes <= (stretches.back().end + kHoleBytes - 1) / kHoleBytes)
      stretches.back().end = end;
    else
      stretches.push_back({piece.pos, end});
  }
  return stretches;
}

}  // namespace kiseki::chunk
