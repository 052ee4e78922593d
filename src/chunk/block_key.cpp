#include "chunk/block_key.hpp"

#include <spdlog/fmt/fmt.h>

namespace kiseki::chunk {

std::string block_key(const BlockLayout& layout, BlockId block, std::uint32_t length) {
  auto id = block.slice.value;
  if (layout.hash_prefix)
    return fmt::format("chunks/{:02X}/{}/{}_{}_{}", id % 256, id / 1'000'000, id, block.index, length);
  return fmt::format("chunks/{}/{}/{}_{}_{}", id / 1'000'000, id / 1000, id, block.index, length);
}

}  // namespace kiseki::chunk
