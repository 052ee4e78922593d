#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "core/ids.hpp"

namespace kiseki::chunk {

/// How a volume cuts slices into blocks and names them (JuiceFS 1.x; objects.md 1 and 2).
struct BlockLayout {
  std::uint32_t block_bytes = 4u << 20;  ///< 64 KiB .. 16 MiB, a power of two
  bool hash_prefix = false;
  bool whole_only = false;  ///< stored compressed or encrypted: any part of a block costs all of it

  std::uint32_t blocks_of(std::uint32_t slice_bytes) const {
    return static_cast<std::uint32_t>((std::uint64_t{slice_bytes} + block_bytes - 1) / block_bytes);
  }
  /// Bytes of block `index` of a slice; only the last is short. 0 past the end.
  std::uint32_t length_of(std::uint32_t slice_bytes, std::uint32_t index) const {
    auto begin = std::uint64_t{index} * block_bytes;
    return begin >= slice_bytes ? 0
                                : static_cast<std::uint32_t>(std::min<std::uint64_t>(block_bytes, slice_bytes - begin));
  }
};

/// Names one block in memory.
struct BlockId {
  SliceId slice;
  std::uint32_t index = 0;
  friend bool operator==(const BlockId&, const BlockId&) = default;
};

/// Key below the volume prefix: `chunks/<id/1e6>/<id/1e3>/<id>_<index>_<length>`, or with hash_prefix
/// `chunks/<id mod 256 as two upper-case hex digits>/<id/1e6>/<id>_<index>_<length>`.
std::string block_key(const BlockLayout& layout, BlockId block, std::uint32_t length);

}  // namespace kiseki::chunk

template <>
struct std::hash<kiseki::chunk::BlockId> {
  std::size_t operator()(const kiseki::chunk::BlockId& id) const noexcept {
    auto mixed = (id.slice.value * 0x9E3779B97F4A7C15u) ^ (std::uint64_t{id.index} * 0xC2B2AE3D27D4EB4Fu);
    return static_cast<std::size_t>(mixed ^ (mixed >> 29));
  }
};
