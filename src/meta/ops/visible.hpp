#pragma once

#include <cstdint>

#include "core/slice.hpp"

namespace kiseki::meta::op {

/// What of a chunk's records shows in bytes [begin, end) of the chunk: pieces in order of position that cover the range
/// without gaps; id 0 where nothing was written. Later records cover earlier ones.
Slices visible(const Slices& records, std::uint32_t begin, std::uint32_t end);

}  // namespace kiseki::meta::op
