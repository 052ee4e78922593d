#include "chunk/slice_objects.hpp"

namespace kiseki::chunk {

Async<void> upload_block(object::StorePtr store, BlockLayout layout, BlockId id, BlockPtr block) {
  std::vector<iovec> where;
  block->locate(0, block->size(), where);
  object::Body body;
  for (const auto& piece : where)
    body.pieces.emplace_back(static_cast<const std::byte*>(piece.iov_base), piece.iov_len);
  body.owner = std::make_shared<BlockPtr>(block);
  auto key = block_key(layout, id, block->size());
  co_return co_await store->put(std::move(key), std::move(body));
}

Async<void> remove_slice(object::StorePtr store, BlockLayout layout, SliceId slice, std::uint32_t slice_bytes) {
  std::vector<object::ObjectKey> keys;
  for (std::uint32_t index = 0; index < layout.blocks_of(slice_bytes); ++index)
    keys.push_back(block_key(layout, {slice, index}, layout.length_of(slice_bytes, index)));
  co_return co_await store->remove_all(std::move(keys));
}

}  // namespace kiseki::chunk
