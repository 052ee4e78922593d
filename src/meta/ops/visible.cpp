#include "meta/ops/visible.hpp"

#include <algorithm>
#include <utility>

namespace kiseki::meta::op {

namespace {

/// The part [begin, end) of a record (both within it).
Slice part_of(Slice record, std::uint32_t begin, std::uint32_t end) {
  record.off += begin - record.pos;
  record.pos = begin;
  record.len = end - begin;
  return record;
}

}  // namespace

Slices visible(const Slices& records, std::uint32_t begin, std::uint32_t end) {
  Slices pieces;
  if (begin >= end) return pieces;
  pieces.push_back({begin, SliceId{0}, 0, 0, end - begin});
  for (auto& record : records) {
    auto from = std::max(record.pos, begin);
    auto to = static_cast<std::uint32_t>(std::min<std::uint64_t>(std::uint64_t{record.pos} + record.len, end));
    if (from >= to) continue;
    Slices next;
    next.reserve(pieces.size() + 2);
    bool placed = false;
    auto place = [&] {
      if (!std::exchange(placed, true)) next.push_back(part_of(record, from, to));
    };
    for (auto& piece : pieces) {
      auto piece_end = piece.pos + piece.len;
      if (piece.pos >= to) place();
      if (piece_end <= from || piece.pos >= to) {
        next.push_back(piece);
        continue;
      }
      if (piece.pos < from) next.push_back(part_of(piece, piece.pos, from));
      place();
      if (piece_end > to) next.push_back(part_of(piece, to, piece_end));
    }
    place();
    pieces = std::move(next);
  }
  return pieces;
}

}  // namespace kiseki::meta::op
