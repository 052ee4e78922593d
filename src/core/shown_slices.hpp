#pragma once

#include "core/slice.hpp"

namespace kiseki {

/// What a chunk's records show: disjoint pieces of slices in order of position. Later records cover earlier ones; where
/// no piece is, the chunk reads as zeros (never written, or a hole on top). Bytes past the chunk's end or past their
/// slice's end are not shown. O(n log n).
Slices shown_slices(const Slices& records);

}  // namespace kiseki
