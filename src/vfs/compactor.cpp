#include "vfs/compactor.hpp"

#include <algorithm>
#include <utility>

#include "chunk/chunk_view.hpp"
#include "chunk/slice_objects.hpp"
#include "chunk/slice_writer.hpp"
#include "core/log.hpp"
#include "core/metrics.hpp"

namespace kiseki::vfs {

namespace {

constexpr std::uint32_t kEvery = 100, kAlways = 350;  // records of a chunk after a write
constexpr std::uint32_t kTooLong = 2500;              // from here on a writer waits for a pass
constexpr std::size_t kOnRead = 5;
constexpr std::uint32_t kStepBytes = 1 << 20;  // copied at once
constexpr int kMemoryTries = 50;               // of 20 ms: compaction yields to readers and writers

}  // namespace

Compactor::Compactor(std::shared_ptr<SliceMeta> meta, object::StorePtr store, chunk::BlockReader& blocks,
                     BufferArena& arena, TaskGroup& tasks, asio::any_io_executor home, Options options)
    : meta_(std::move(meta)),
      store_(std::move(store)),
      blocks_(blocks),
      arena_(arena),
      tasks_(tasks),
      home_(std::move(home)),
      options_(std::move(options)),
      slots_(options_.parallel) {}

Compactor::Pace Compactor::written(Ino ino, ChunkIndex index, std::uint32_t records, std::uint32_t added) {
  if (records >= kTooLong) return Pace::wait;
  auto before = records - std::min(records, added);
  bool passed_a_hundred = (records + 1) / kEvery != (before + 1) / kEvery;  // the record that makes count % 100 = 99
  if (passed_a_hundred || records > kAlways) ask(ino, index);
  return Pace::go_on;
}

void Compactor::read(Ino ino, ChunkIndex index, std::size_t records) {
  if (records >= kOnRead) ask(ino, index);
}

void Compactor::ask(Ino ino, ChunkIndex index) {
  {
    std::lock_guard lock(mutex_);
    if (asked_.size() >= options_.most_waiting || !asked_.emplace(ino, index).second) return;
  }
  tasks_.spawn(home_, work(ino, index));
}

asio::awaitable<void> Compactor::work(Ino ino, ChunkIndex index) {
  struct Ended {
    Compactor& compactor;
    std::pair<Ino, ChunkIndex> chunk;
    ~Ended() {
      std::lock_guard lock(compactor.mutex_);
      compactor.asked_.erase(chunk);
    }
  };
  Ended ended{*this, {ino, index}};
  auto slot = co_await slots_.acquire();
  auto done = co_await compact(ino, index);
  if (!done) log::warn("compact.failed", {{"ino", ino.value}, {"chunk", index.value}, {"error", done.error()}});
}

/// A chunk nobody else rewrites, until this goes.
class Compactor::Claim {
 public:
  Claim(Compactor& compactor, Chunk chunk) : compactor_(&compactor), chunk_(chunk) {}
  Claim(Claim&& other) noexcept : compactor_(std::exchange(other.compactor_, nullptr)), chunk_(other.chunk_) {}
  ~Claim() {
    if (!compactor_) return;
    {
      std::lock_guard lock(compactor_->mutex_);
      compactor_->running_.erase(chunk_);
    }
    compactor_->ended_.notify_all();
  }

 private:
  Compactor* compactor_;
  Chunk chunk_;
};

asio::awaitable<Compactor::Claim> Compactor::claim(Chunk chunk) {
  for (;;) {
    auto ticket = ended_.ticket();
    {
      std::lock_guard lock(mutex_);
      if (running_.insert(chunk).second) co_return Claim(*this, chunk);
    }
    co_await ended_.wait(ticket);
  }
}

Async<void> Compactor::compact_from(Chunk chunk, std::size_t least_records) {
  auto claimed = co_await claim(chunk);
  auto [ino, index] = chunk;
  CO_TRY(auto records, co_await meta_->read_slices(ino, index));
  if (records.size() < least_records) co_return Result<void>{};
  auto plan = plan_compaction(records);
  if (!plan) co_return Result<void>{};
  co_return co_await rewrite(ino, index, std::move(records), *plan);
}

Async<void> Compactor::compact(Ino ino, ChunkIndex index) { return compact_from({ino, index}, 2); }

asio::awaitable<void> Compactor::shorten(Ino ino, ChunkIndex index) {
  auto done = co_await compact_from({ino, index}, kTooLong);
  if (!done) log::warn("compact.failed", {{"ino", ino.value}, {"chunk", index.value}, {"error", done.error()}});
}

/// Memory taken without ever standing in the arena's queue, where it would hold up readers and writers.
Async<BufferPtr> Compactor::memory(std::size_t bytes) {
  for (int i = 0; i < kMemoryTries; ++i) {
    auto buffer = arena_.try_allocate(bytes);
    if (!buffer && arena_.waiting() == 0 && blocks_.cache().make_room(bytes) > 0) buffer = arena_.try_allocate(bytes);
    if (buffer) co_return buffer;
    co_await sleep_for(std::chrono::milliseconds(20));
  }
  co_return posix(ENOMEM);
}

/// Copies what the chunk shows from byte `from` on; holes are zeros.
Async<void> Compactor::copy_shown(const chunk::ChunkView& view, std::uint32_t from, std::span<std::byte> target) {
  auto layout = blocks_.layout();
  auto most = layout.whole_only ? layout.block_bytes : kStepBytes;
  auto end = from + static_cast<std::uint32_t>(target.size());
  std::fill(target.begin(), target.end(), std::byte{0});
  for (auto piece = view.first_after(from); piece != view.pieces().end() && piece->pos < end; ++piece) {
    auto at = std::max(from, piece->pos), stop = std::min(end, piece->pos + piece->len);
    while (at < stop) {
      auto inside = piece->off + (at - piece->pos);
      chunk::BlockSpec block{piece->id, piece->size, inside / layout.block_bytes};
      auto offset = inside % layout.block_bytes;
      auto step = std::min({stop - at, layout.block_bytes - offset, most});
      auto here = target.subspan(at - from, step);
      if (auto hit = blocks_.cache().find(block.id(), offset, step)) {
        hit->copy(offset, here);
      } else {
        CO_CHECK(co_await blocks_.read_range(block, offset, here));
      }
      at += step;
    }
  }
  co_return Result<void>{};
}

/// Writes the stretches of `plan`, one after another, as the blocks of a new slice.
Async<void> Compactor::copy(const Slices& records, const CompactionPlan& plan, SliceId into) {
  Slices run(records.begin() + plan.first, records.begin() + plan.first + plan.count);
  auto view = chunk::ChunkView::of(run);
  auto layout = blocks_.layout();
  auto stretch = plan.stretches.begin();
  std::uint32_t copied = 0;  // of this stretch
  for (std::uint32_t index = 0, size = plan.bytes(); index < layout.blocks_of(size); ++index) {
    auto length = layout.length_of(size, index);
    CO_TRY(auto buffer, co_await memory(length));
    for (std::span<std::byte> left(buffer->data(), length); !left.empty();) {
      auto step = std::min<std::size_t>(left.size(), stretch->size() - copied);
      CO_CHECK(co_await copy_shown(view, stretch->begin + copied, left.first(step)));
      left = left.subspan(step);
      copied += static_cast<std::uint32_t>(step);
      if (copied == stretch->size()) ++stretch, copied = 0;
    }
    chunk::BlockPtr whole(new chunk::Block(std::move(buffer), length));
    CO_CHECK(co_await chunk::upload_block(store_, layout, {into, index}, whole));
  }
  co_return Result<void>{};
}

Async<void> Compactor::rewrite(Ino ino, ChunkIndex index, Slices records, CompactionPlan plan) {
  CO_TRY(auto id, co_await meta_->new_slice_id());
  auto size = plan.bytes();
  auto done = co_await copy(records, plan, id);
  if (done) {
    records.resize(plan.first + plan.count);
    meta::CompactedSlice with{id, size, plan.records(id)};
    done = co_await meta_->compacted(ino, index, std::move(records), plan.first, plan.count, std::move(with));
    if (done) {
      metrics::all().compact_size.observe(size);
      log::debug("compact.done", {{"ino", ino.value},
                                  {"chunk", index.value},
                                  {"records", plan.count},
                                  {"left", plan.stretches.size()},
                                  {"bytes", size}});
      if (options_.compacted) options_.compacted(ino, index);
      co_return done;
    }
    // Refused, because the chunk is another by now: the new slice has been released. Else a record may refer to it.
    co_return done.error() == posix(ESTALE) ? Result<void>{} : done;
  }
  (void)co_await chunk::remove_slice(store_, blocks_.layout(), id, size);
  if (done.error() == make_error_code(object::ObjectErrc::not_found)) co_return Result<void>{};  // overtaken too
  co_return done;
}

}  // namespace kiseki::vfs
