#pragma once

#include <cstdint>

#include "chunk/block.hpp"
#include "chunk/block_key.hpp"
#include "object/store.hpp"

namespace kiseki::chunk {

/// Stores one block. `block` stays pinned until the call is over.
Async<void> upload_block(object::StorePtr store, BlockLayout layout, BlockId id, BlockPtr block);

/// Removes every block of a slice of `slice_bytes`; absent ones count as removed. All are tried; the last error is
/// returned.
Async<void> remove_slice(object::StorePtr store, BlockLayout layout, SliceId slice, std::uint32_t slice_bytes);

}  // namespace kiseki::chunk
