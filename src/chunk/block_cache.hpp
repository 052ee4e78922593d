#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "chunk/block.hpp"
#include "chunk/block_key.hpp"
#include "core/memory.hpp"

namespace kiseki::chunk {

/// Whole blocks in memory. Blocks never change, so nothing is ever invalidated; what is read once in a scan makes room
/// before what is read again (S3-FIFO: a small queue for newcomers, a main queue for those asked for twice, and a
/// memory of names lately evicted). Gives memory back to the arena when an allocation would pass its limit. Any thread.
class BlockCache {
 public:
  /// `capacity_bytes` of arena memory; 0 keeps nothing. The cache must not outlive the arena.
  BlockCache(BufferArena& arena, std::size_t capacity_bytes);
  ~BlockCache();
  BlockCache(const BlockCache&) = delete;

  /// The block, if it is here. `from`, `len`: what will be read of it, so that the pieces of one sequential pass count
  /// as one use. Pins the memory while the pointer lives.
  BlockPtr find(BlockId id, std::uint32_t from, std::uint32_t len);
  bool contains(BlockId id) const;
  /// Keeps a block; a second one under the same name is dropped.
  void insert(BlockId id, BlockPtr block);
  void erase(BlockId id);
  void clear();
  /// Evicts until about `bytes` went back to the arena; returns how much did. For those who cannot wait in the arena.
  std::size_t make_room(std::size_t bytes);

  struct Counts {
    std::size_t blocks = 0, bytes = 0;
    std::uint64_t hits = 0, misses = 0, hit_bytes = 0, miss_bytes = 0, inserts = 0, evictions = 0;
  };
  Counts counts() const;
  std::size_t capacity_bytes() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace kiseki::chunk
