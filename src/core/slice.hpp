#pragma once

#include <cstdint>
#include <vector>

#include "core/ids.hpp"

namespace kiseki {

/// One write into a chunk, as the metadata records it: `len` bytes of slice `id`, from byte `off` of it, stand at byte
/// `pos` of the chunk. Later records of a chunk cover earlier ones. A core word, because both meta and chunk say it.
struct Slice {
  std::uint32_t pos = 0;   ///< bytes from the start of the chunk
  SliceId id;              ///< 0: a hole (`size` and `off` mean nothing)
  std::uint32_t size = 0;  ///< bytes of the whole slice as uploaded
  std::uint32_t off = 0;   ///< first byte of it that shows
  std::uint32_t len = 0;   ///< bytes that show
  friend bool operator==(const Slice&, const Slice&) = default;
};

using Slices = std::vector<Slice>;  ///< of one chunk, oldest first

}  // namespace kiseki
