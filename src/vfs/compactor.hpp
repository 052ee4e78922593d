#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>

#include "chunk/block_reader.hpp"
#include "core/async.hpp"
#include "object/store.hpp"
#include "vfs/compaction_plan.hpp"
#include "vfs/slice_meta.hpp"

namespace kiseki::vfs {

/// Rewrites chunks of many slices as one, holes left out. A few at a time, each chunk once; what is asked for beyond a
/// bound is forgotten: the next write or read of the chunk asks again. Any loop may call.
class Compactor {
 public:
  struct Options {
    std::size_t parallel = 2;
    std::size_t most_waiting = 1000;
    std::function<void(Ino, ChunkIndex)> compacted;  ///< the chunk's list is another now
  };
  Compactor(std::shared_ptr<SliceMeta> meta, object::StorePtr store, chunk::BlockReader& blocks, BufferArena& arena,
            TaskGroup& tasks, asio::any_io_executor home, Options options);

  enum class Pace { go_on, wait };  ///< wait: the chunk grows faster than it is compacted; `shorten` it first
  /// A commit made the chunk `records` long, `added` of them new.
  Pace written(Ino ino, ChunkIndex index, std::uint32_t records, std::uint32_t added);
  /// A read met a list of `records`.
  void read(Ino ino, ChunkIndex index, std::size_t records);
  /// Now, and whatever its length. Success when there was nothing to gain or somebody else was faster.
  Async<void> compact(Ino ino, ChunkIndex index);
  /// For a writer to wait for: one pass over a chunk that is too long (written() said so), unless another pass has made
  /// it short meanwhile. Failures are logged: the writer's data is safe.
  asio::awaitable<void> shorten(Ino ino, ChunkIndex index);

 private:
  using Chunk = std::pair<Ino, ChunkIndex>;
  class Claim;
  asio::awaitable<Claim> claim(Chunk chunk);
  Async<void> compact_from(Chunk chunk, std::size_t least_records);
  void ask(Ino ino, ChunkIndex index);
  asio::awaitable<void> work(Ino ino, ChunkIndex index);
  Async<void> rewrite(Ino ino, ChunkIndex index, Slices records, CompactionPlan plan);
  Async<void> copy(const Slices& records, const CompactionPlan& plan, SliceId into);
  Async<void> copy_shown(const chunk::ChunkView& view, std::uint32_t from, std::span<std::byte> target);
  Async<BufferPtr> memory(std::size_t bytes);

  std::shared_ptr<SliceMeta> meta_;
  object::StorePtr store_;
  chunk::BlockReader& blocks_;
  BufferArena& arena_;
  TaskGroup& tasks_;
  asio::any_io_executor home_;
  Options options_;
  Semaphore slots_;
  std::mutex mutex_;         // guards both
  std::set<Chunk> asked_;    // in the background, waiting or running
  std::set<Chunk> running_;  // being rewritten by anyone: two at once would waste each other's work
  Signal ended_;             // something left running_
};

}  // namespace kiseki::vfs
