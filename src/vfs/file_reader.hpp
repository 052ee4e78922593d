#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "chunk/block_reader.hpp"
#include "core/async.hpp"
#include "object/store.hpp"
#include "vfs/data.hpp"
#include "vfs/read_stream.hpp"
#include "vfs/slice_meta.hpp"
#include "vfs/view_cache.hpp"

namespace kiseki::vfs {

/// Reads what is stored: chunk views to pieces of blocks, blocks from memory or the store, holes from one page of
/// zeros. Any loop may call.
class FileReader {
 public:
  struct Options {
    ReadaheadLimits readahead;
    std::size_t cached_view_bytes = 32u << 20;
    std::function<asio::any_io_executor()> here;
    /// A chunk was seen with this many records: the compactor may want it.
    std::function<void(Ino, ChunkIndex, std::size_t records)> chunk_seen;
  };
  FileReader(std::shared_ptr<SliceMeta> meta, chunk::BlockReader& blocks, BufferArena& arena, TaskGroup& tasks,
             Options options);

  ReadStreamPtr open_stream();
  /// The answer if all of it is in memory: nothing copied. Also notes the read in the stream and starts read-ahead.
  std::optional<ReadReply> read_now(ReadStream& stream, Ino ino, std::uint64_t offset, std::uint32_t size,
                                    std::uint64_t length, const FileVersion& version);
  /// The answer, whatever it takes. `sequential`: whole blocks are worth fetching.
  Async<ReadReply> read_later(Ino ino, std::uint64_t offset, std::uint32_t size, FileVersion version, bool sequential);

  ViewCache& views() { return views_; }

 private:
  Async<chunk::ChunkViewPtr> view_of(Ino ino, ChunkIndex index, FileVersion version);
  struct Need;
  struct Plan;
  bool plan_chunk(const chunk::ChunkView& view, std::uint64_t begin, std::uint64_t end, Plan& plan) const;
  Async<std::shared_ptr<Plan>> make_plan(Ino ino, std::uint64_t offset, std::uint32_t size, FileVersion version);
  bool find_in_memory(Plan& plan) const;
  static ReadReply reply_of(Plan& plan);
  Async<ReadReply> read_once(Ino ino, std::uint64_t offset, std::uint32_t size, FileVersion version, bool sequential);
  Async<void> load_blocks(std::shared_ptr<Plan> plan, bool sequential);
  Async<void> load_ranges(std::shared_ptr<Plan> plan);
  bool worth_whole(const Need& need, bool sequential) const;
  AheadRoom ahead_room() const;
  bool tight() const;
  asio::awaitable<void> read_ahead(Ino ino, ByteRange range, FileVersion version, std::size_t counted);

  std::shared_ptr<SliceMeta> meta_;
  chunk::BlockReader& blocks_;
  BufferArena& arena_;
  TaskGroup& tasks_;
  Options options_;
  ViewCache views_;
  std::shared_ptr<std::atomic<int>> streaming_ = std::make_shared<std::atomic<int>>(0);
  std::atomic<std::size_t> ahead_bytes_{0};  // being read ahead, all streams
};

}  // namespace kiseki::vfs
