#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

#include "chunk/block_cache.hpp"
#include "chunk/slice_writer.hpp"
#include "core/answer.hpp"
#include "core/async.hpp"
#include "core/clock.hpp"
#include "core/ids.hpp"
#include "object/store.hpp"
#include "vfs/losses.hpp"
#include "vfs/pending_slice.hpp"
#include "vfs/slice_meta.hpp"

namespace kiseki::vfs {

/// What every file being written shares: where bytes go, and who does the work nobody waits for.
struct WriteBackend {
  std::shared_ptr<SliceMeta> meta;
  object::StorePtr store;
  chunk::BlockLayout layout;
  BufferArena& arena;
  chunk::BlockCache& cache;
  std::shared_ptr<const Clock> clock;
  std::function<asio::any_io_executor()> here;
  /// Records were appended to these chunks; what it returns is done before the file's next commit.
  std::function<Answer<void>(Ino, const std::vector<SliceMeta::Length>&)> committed;
  /// What was appended has gone elsewhere: it is not to be found where it was while it was buffered.
  std::function<void(Ino)> moved;
  TaskGroup& tasks;
  Losses& losses;
  bool cache_full_writes = false;         ///< keep full blocks in memory after their upload
  std::atomic<std::size_t> uploading{0};  ///< blocks on their way to the store
};

/// A change of attributes that is to go with the last of a file's buffered writes.
struct OrderAfterWrites {
  meta::AttrOrder order;
  std::uint64_t upto = 0;               ///< the slices it comes after
  std::optional<Result<Attr>> outcome;  ///< none: not done; there was nothing to go with, or that failed
};

/// One file's writes on their way: slices in order of creation. Blocks are uploaded as soon as they are full; a slice
/// is frozen (flush, age, size) and then committed, strictly in order of creation, once all its blocks are stored. So
/// the file's length grows in order, and later writes cover earlier ones. What is appended gets slices of its own,
/// whose place is the file's end at their commit. Any loop may call; the mutex is never held across an await, and a
/// copy under it is at most one request.
class FileWriter : public std::enable_shared_from_this<FileWriter> {
 public:
  FileWriter(Ino ino, WriteBackend& backend) : ino_(ino), backend_(backend) {}

  enum class State { alive, retired };
  struct Wrote {
    State state = State::alive;  ///< retired: ask the table for the file's next writer
    std::size_t bytes = 0;       ///< copied; less than all for want of memory
  };
  /// Copies into open slices. `spare` is used before new memory is asked for. `at_end`: `offset` is where the file is
  /// known to end; what others append meanwhile comes before it.
  Wrote write(std::uint64_t offset, std::span<const std::byte> data, BufferPtr& spare, meta::Placing placing);

  struct FlushPoint {
    State state = State::alive;
    bool clean = false;      ///< nothing to wait for
    std::uint64_t upto = 0;  ///< slices below this number are what to wait for
  };
  /// Freezes every open slice. `after`: done in the commit of the last of them, if it still can be.
  FlushPoint begin_flush(std::shared_ptr<OrderAfterWrites> after = nullptr);
  /// Waits until the slices of `begin_flush` are committed or given up.
  asio::awaitable<void> settled(std::uint64_t upto);

  /// Freezes what is old (5 s), or idle (1 s) and not brand new.
  void freeze_aged(PendingSlice::Time now);
  /// Freezes everything not frozen; returns the memory that will become free.
  std::size_t freeze_all();

  bool dirty() const;
  bool dirty_in(std::uint64_t begin, std::uint64_t end) const;
  std::optional<std::uint64_t> pending_length() const;
  std::optional<Timestamp> pending_mtime() const;
  std::optional<PendingSlice::Time> oldest_open() const;
  /// Ends this writer if nothing is left in it; the caller holds the table's lock.
  bool retire();
  Ino ino() const { return ino_; }

 private:
  using SlicePtr = std::shared_ptr<PendingSlice>;
  /// Work found under the mutex and started after it: a spawned coroutine may run at once, here. Declare it before the
  /// lock.
  class Launch {
   public:
    explicit Launch(WriteBackend& backend) : backend_(backend) {}
    ~Launch();
    Launch(const Launch&) = delete;
    void add(asio::awaitable<void> work) { works_.push_back(std::move(work)); }

   private:
    WriteBackend& backend_;
    std::vector<asio::awaitable<void>> works_;
  };
  SlicePtr slice_for(std::uint64_t at, std::size_t bytes, meta::Placing placing);
  void keep_together(const SlicePtr& first, const SlicePtr& second, Launch& launch);
  void freeze(const SlicePtr& slice, Launch& launch);
  void send(const SlicePtr& slice, chunk::SliceWriter::Piece piece, Launch& launch);
  void commit_if_ready(Launch& launch);
  asio::awaitable<void> upload(std::shared_ptr<FileWriter> self, SlicePtr slice, chunk::SliceWriter::Piece piece);
  Async<SliceId> id_of(SlicePtr slice);
  asio::awaitable<void> commit_ready(std::shared_ptr<FileWriter> self);
  struct Ready {
    std::vector<SlicePtr> slices;
    std::shared_ptr<OrderAfterWrites> after;  ///< goes with them
  };
  bool joins(const PendingSlice& slice, const Ready& ready) const;
  Ready ready_slices();
  void committed(std::size_t slices);
  asio::awaitable<void> settle(Ready ready);
  Timestamp mtime_of_commit(std::span<const SlicePtr> slices);
  Async<void> commit(std::span<const SlicePtr> slices, OrderAfterWrites* after);
  asio::awaitable<void> drop(SlicePtr slice, std::error_code error);

  const Ino ino_;
  WriteBackend& backend_;
  mutable std::mutex mutex_;  // guards all below
  bool retired_ = false;
  std::deque<SlicePtr> slices_;  // oldest first; leaves when committed or given up
  std::uint64_t next_number_ = 0;
  std::size_t open_ = 0;
  bool committing_ = false;
  std::shared_ptr<OrderAfterWrites> after_;  // until the slices before it have left
  std::uint64_t pending_end_ = 0;
  Timestamp pending_mtime_;
  Signal progress_;  // slices left
};

}  // namespace kiseki::vfs
