#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "chunk/block.hpp"
#include "chunk/block_cache.hpp"
#include "chunk/block_key.hpp"
#include "core/async.hpp"
#include "core/memory.hpp"
#include "object/store.hpp"

namespace kiseki::chunk {

/// One block of a slice, with what is needed to name its object.
struct BlockSpec {
  SliceId slice;
  std::uint32_t slice_bytes = 0;
  std::uint32_t index = 0;
  BlockId id() const { return {slice, index}; }
};

/// Loads blocks from the store: whole ones into the cache, each once however many ask, or just a range. Any loop may
/// call.
class BlockReader {
 public:
  struct Options {
    std::size_t prefetch_workers = 1;  ///< --prefetch; 0: never
    /// Whole blocks under way at once may take this share of the arena; beyond, callers read ranges.
    double load_share = 0.4;
  };
  BlockReader(object::StorePtr store, BlockLayout layout, BufferArena& arena, BlockCache& cache,
              asio::any_io_executor home, Options options);
  ~BlockReader();

  const BlockLayout& layout() const { return layout_; }
  BlockCache& cache() { return cache_; }
  std::uint32_t length_of(const BlockSpec& block) const { return layout_.length_of(block.slice_bytes, block.index); }

  /// The whole block, from the cache, a load under way, or the store. Never waits for memory: ENOBUFS when there is
  /// none to spare (then read a range). not_found when the object is gone; EIO when it is short.
  Async<BlockPtr> load(BlockSpec block);
  /// Bytes [from, from + into.size()) straight into `into`, which outlives the call. Errors as load.
  Async<void> read_range(BlockSpec block, std::uint32_t from, std::span<std::byte> into);
  /// Loads a block in the background if a worker is free and memory is plenty; else forgets it.
  void prefetch(BlockSpec block);
  /// Whether somebody loads this block right now: then waiting for it beats asking again.
  bool loading(BlockId id) const;

  /// Ends what runs in the background.
  asio::awaitable<void> close();

 private:
  struct Flight;
  struct Flights;
  Async<BlockPtr> fetch(BlockSpec block);
  Async<BlockPtr> fly(BlockSpec block, std::shared_ptr<Flight> flight);
  asio::awaitable<void> prefetch_one(BlockSpec block);

  object::StorePtr store_;
  BlockLayout layout_;
  BufferArena& arena_;
  BlockCache& cache_;
  Options options_;
  std::unique_ptr<Flights> flights_;
  std::atomic<std::size_t> loading_bytes_{0};
  std::atomic<std::size_t> prefetching_{0};
  TaskGroup tasks_;
};

}  // namespace kiseki::chunk
