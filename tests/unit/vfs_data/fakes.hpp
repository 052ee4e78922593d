#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <set>

#include "chunk/chunk_view.hpp"
#include "chunk/slice_objects.hpp"
#include "chunk/slice_writer.hpp"
#include "core/async.hpp"
#include "object/faulty_store.hpp"
#include "object/memory_store.hpp"
#include "object/retrying_store.hpp"
#include "support/run.hpp"
#include "vfs/file_data.hpp"

namespace kiseki::vfs::fake {

/// Slice lists in memory, counting references as the metadata does. Thread-safe.
class Meta final : public SliceMeta {
 public:
  Async<SliceId> new_slice_id() override {
    std::lock_guard lock(mutex);
    co_return SliceId{next_id++};
  }
  Async<Slices> read_slices(Ino ino, ChunkIndex index) override {
    std::lock_guard lock(mutex);
    ++fetches;
    co_return chunks[{ino, index}];
  }
  Async<Written> write_slices(Ino ino, std::vector<Placed> records, Timestamp mtime,
                              std::optional<meta::AttrOrder> with, meta::Placing placing) override {
    if (before_write) co_await before_write();
    std::lock_guard lock(mutex);
    ++commits;
    mtimes.push_back(mtime);
    if (!write_errors.empty()) {
      auto error = write_errors.front();
      write_errors.pop_front();
      if (error) co_return error;
    }
    Written written;
    auto& lengths = written.chunks;
    if (with) ++ordered, written.attr = with->change.to;
    if (placing == meta::Placing::at_end) written.moved = to_end(lengths_[ino], records);
    for (const auto& [index, slice] : records) {
      EXPECT_GT(slice.len, 0u);
      EXPECT_LE(std::uint64_t{slice.pos} + slice.len, kChunkBytes);
      EXPECT_LE(std::uint64_t{slice.off} + slice.len, slice.size);
      auto& list = chunks[{ino, index}];
      list.push_back(slice);
      ++refs[slice.id];
      sizes[slice.id] = slice.size;
      auto& length = lengths_[ino];
      length = std::max(length, index.value * kChunkBytes + slice.pos + slice.len);
      auto at = std::find_if(lengths.begin(), lengths.end(), [i = index](const auto& l) { return l.index == i; });
      if (at == lengths.end()) at = lengths.insert(at, {index});
      at->records = static_cast<std::uint32_t>(list.size());
      ++at->added;
    }
    co_return written;
  }
  Async<void> compacted(Ino ino, ChunkIndex index, Slices seen, std::uint32_t first, std::uint32_t count,
                        meta::CompactedSlice with) override {
    std::lock_guard lock(mutex);
    EXPECT_EQ(with.records.empty(), with.size == 0);
    for (const auto& record : with.records)
      EXPECT_TRUE(record.id == with.id && record.size == with.size && record.off + record.len <= record.size);
    auto& list = chunks[{ino, index}];
    if (seen.size() < first + count || list.size() < seen.size() ||
        !std::equal(seen.begin(), seen.end(), list.begin())) {
      if (with.size > 0) released.push_back({with.id, with.size});
      co_return posix(ESTALE);
    }
    for (auto i = first; i < first + count; ++i)
      if (--refs[list[i].id] == 0 && list[i].id.value != 0) released.push_back({list[i].id, list[i].size});
    list.erase(list.begin() + first, list.begin() + first + count);
    list.insert(list.begin() + first, with.records.begin(), with.records.end());
    refs[with.id] += static_cast<int>(with.records.size());
    sizes[with.id] = with.size;
    ++compactions;
    co_return Result<void>{};
  }
  /// What truncate does: a hole record over the tail.
  void punch(Ino ino, ChunkIndex index, std::uint32_t pos, std::uint32_t len) {
    std::lock_guard lock(mutex);
    chunks[{ino, index}].push_back({pos, SliceId{0}, 0, 0, len});
  }
  std::size_t records(Ino ino, ChunkIndex index) {
    std::lock_guard lock(mutex);
    return chunks[{ino, index}].size();
  }

  /// Whether that is another place.
  static bool to_end(std::uint64_t end, std::vector<Placed>& records) {
    bool moved = end != records.front().index.value * kChunkBytes + records.front().slice.pos;
    std::vector<Placed> placed;
    for (auto [index, slice] : records) {
      for (auto left = slice.len; left > 0;) {
        slice.pos = static_cast<std::uint32_t>(end % kChunkBytes);
        slice.len = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, kChunkBytes - slice.pos));
        placed.push_back({ChunkIndex{static_cast<std::uint32_t>(end / kChunkBytes)}, slice});
        left -= slice.len;
        end += slice.len;
        slice.off += slice.len;
      }
    }
    records = std::move(placed);
    return moved;
  }

  std::mutex mutex;
  std::map<std::pair<Ino, ChunkIndex>, Slices> chunks;
  std::map<SliceId, int> refs;
  std::map<SliceId, std::uint32_t> sizes;
  std::map<Ino, std::uint64_t> lengths_;
  std::vector<std::pair<SliceId, std::uint32_t>> released;
  std::deque<std::error_code> write_errors;
  std::vector<Timestamp> mtimes;  ///< of the commits
  std::function<asio::awaitable<void>()> before_write;
  std::uint64_t next_id = 1;
  int fetches = 0, commits = 0, compactions = 0, ordered = 0;
};

inline std::vector<std::byte> pattern(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; i += 8) {
    auto word = random();
    std::memcpy(bytes.data() + i, &word, std::min<std::size_t>(8, size - i));
  }
  return bytes;
}

inline std::vector<std::byte> bytes_of(const ReadReply& reply) {
  std::vector<std::byte> out;
  for (const auto& piece : reply.pieces) {
    auto* from = static_cast<const std::byte*>(piece.iov_base);
    out.insert(out.end(), from, from + piece.iov_len);
  }
  return out;
}

/// A data path over fakes, on the loop of the test.
struct Rig {
  explicit Rig(std::size_t arena_mib = 32, std::uint32_t block_bytes = 1 << 20, std::size_t cache_mib = 16)
      : arena([&] {
          BufferArena::Options options;
          options.limit_bytes = arena_mib << 20;
          return options;
        }()) {
    options.layout.block_bytes = block_bytes;
    options.cache_bytes = cache_mib << 20;
    options.clock = clock;
    object::RetryPolicy quick;
    quick.tries = 9;
    quick.put_step = quick.get_step = std::chrono::milliseconds(1);
    retrying = std::make_shared<object::RetryingStore>(store, quick);
  }
  void open(asio::any_io_executor home) {
    options.home = home;
    data = make_file_data(meta, retrying, arena, options);
  }
  Async<void> write(Ino ino, std::uint64_t at, std::span<const std::byte> bytes) {
    auto answer = data->write(ino, at, bytes);
    if (answer.ready()) ++ready_writes;
    CO_TRY(auto wrote, co_await std::move(answer).get());
    EXPECT_EQ(wrote, bytes.size());
    EXPECT_LE(arena.used_bytes(), arena.limit_bytes());
    co_return Result<void>{};
  }
  Async<void> append(Ino ino, std::uint64_t end, std::span<const std::byte> bytes) {
    CO_TRY(auto wrote, co_await data->append(ino, end, bytes).get());
    EXPECT_EQ(wrote, bytes.size());
    co_return Result<void>{};
  }
  Async<void> flush(Ino ino) { return data->flush(ino, told).get(); }
  Async<std::vector<std::byte>> read(Ino ino, std::uint64_t at, std::uint32_t size, std::uint64_t length,
                                     ReadStream* stream = nullptr) {
    auto own = data->open_stream(ino);
    auto answer = data->read(stream ? *stream : *own, ino, at, size, length);
    if (answer.ready()) ++ready_reads;
    CO_TRY(auto reply, co_await std::move(answer).get());
    EXPECT_LE(arena.used_bytes(), arena.limit_bytes());
    co_return bytes_of(reply);
  }
  Async<void> close() {
    if (!data) co_return Result<void>{};
    auto done = co_await data->close();
    data.reset();
    co_return done;
  }

  std::shared_ptr<ManualClock> clock = std::make_shared<ManualClock>();
  std::shared_ptr<Meta> meta = std::make_shared<Meta>();
  std::shared_ptr<object::MemoryStore> memory = std::make_shared<object::MemoryStore>();
  std::shared_ptr<object::FaultyStore> store = std::make_shared<object::FaultyStore>(memory);
  object::StorePtr retrying;
  BufferArena arena;
  FileDataOptions options;
  std::unique_ptr<FileData> data;
  LossesToldPtr told = std::make_shared<LossesTold>();  ///< of the one open file that flushes
  int ready_writes = 0, ready_reads = 0;
};

/// Runs a body with an open rig and closes it.
template <class Body>
void with(Rig& rig, Body body) {
  test::run(
      [&]() -> asio::awaitable<void> {
        rig.open(co_await asio::this_coro::executor);
        co_await body();
        auto closed = co_await rig.close();
        EXPECT_TRUE(closed) << (closed ? "" : closed.error().message());
        EXPECT_EQ(rig.arena.used_bytes(), 0u) << "memory is still held";
      },
      std::chrono::seconds(60));
}

}  // namespace kiseki::vfs::fake
