// The data path as a mount uses it: several loops at once on one file and on many, with compaction and failing stores
// on the side. What a reader may see is counted, nothing depends on who wins; ThreadSanitizer looks on.
#include <array>
#include <atomic>

#include "core/guard.hpp"
#include "core/runtime.hpp"
#include "fakes.hpp"

namespace kiseki::vfs {
namespace {

constexpr unsigned kLoops = 4;

std::uint32_t below(std::mt19937& random, std::uint32_t end) { return static_cast<std::uint32_t>(random() % end); }

/// A data path whose requests come from the loops of a runtime.
class DataOnLoops : public ::testing::Test {
 protected:
  DataOnLoops() : runtime_({.loops = kLoops, .pin = false}), arena_(limit()) {
    runtime_.start();
    FileDataOptions options;
    options.layout.block_bytes = 65536;
    options.cache_bytes = 2 << 20;
    options.max_readahead = 1 << 20;
    options.clock = std::make_shared<SystemClock>();
    options.home = runtime_.executor(0);
    options.here = [this] { return runtime_.executor(static_cast<unsigned>(std::max(0, Runtime::current_loop()))); };
    object::RetryPolicy quick;
    quick.tries = 9;
    quick.put_step = quick.get_step = std::chrono::milliseconds(1);
    auto retrying = std::make_shared<object::RetryingStore>(store_, quick);
    data_ = make_file_data(meta_, retrying, arena_, options);
  }
  ~DataOnLoops() override {
    auto closed = runtime_.wait(data_->close());
    EXPECT_TRUE(closed) << (closed ? "" : closed.error().message());
    data_.reset();
    EXPECT_EQ(arena_.used_bytes(), 0u) << "memory is still held";
  }
  static BufferArena::Options limit() {
    BufferArena::Options options;
    options.limit_bytes = 6 << 20;  // less than what is written: writers meet the limit
    return options;
  }
  /// Runs `count` copies of `work(index)`, spread over the loops, to their end.
  template <class Work>
  void run(unsigned count, Work work) {
    TaskGroup group(runtime_.executor(0));
    for (unsigned i = 0; i < count; ++i) group.spawn(runtime_.executor(i % kLoops), work(i));
    runtime_.wait(group.join());
  }

  Runtime runtime_;
  std::shared_ptr<fake::Meta> meta_ = std::make_shared<fake::Meta>();
  std::shared_ptr<object::FaultyStore> store_ =
      std::make_shared<object::FaultyStore>(std::make_shared<object::MemoryStore>());
  BufferArena arena_;
  std::unique_ptr<FileData> data_;
};

/// One file in cells, each rewritten by one writer with rising versions: a reader must see, of every cell, no version
/// older than the last one written when it began, and none that was not begun when it ended.
struct Cells {
  static constexpr std::uint32_t kCount = 96, kBytes = 8192;
  static constexpr std::uint64_t kBase = kChunkBytes - std::uint64_t{kCount} / 2 * kBytes;  // over a chunk border
  static constexpr std::uint64_t kLength = kBase + std::uint64_t{kCount} * kBytes;
  std::array<std::atomic<std::uint32_t>, kCount> begun{}, done{};

  static std::uint64_t at(std::uint32_t cell) { return kBase + std::uint64_t{cell} * kBytes; }
  static std::vector<std::byte> bytes(std::uint32_t cell, std::uint32_t version) {
    std::vector<std::byte> out(kBytes);
    const std::array<std::uint32_t, 2> word{cell, version};
    for (std::size_t i = 0; i < kBytes; i += sizeof word) std::memcpy(out.data() + i, word.data(), sizeof word);
    return out;
  }
};

TEST_F(DataOnLoops, ReadersOfOneFileSeeWhatItsWritersHadWritten) {
  constexpr Ino kFile{11};
  constexpr unsigned kWriters = 6, kReaders = 6;
  Cells cells;
  auto write = [&](unsigned writer, std::mt19937& random) -> Async<void> {
    auto cell = writer + kWriters * below(random, Cells::kCount / kWriters);
    auto version = ++cells.begun[cell];
    auto bytes = Cells::bytes(cell, version);
    CO_TRY(auto wrote, co_await data_->write(kFile, Cells::at(cell), bytes).get());
    EXPECT_EQ(wrote, bytes.size());
    cells.done[cell] = version;
    if (random() % 8 == 0) CO_CHECK(co_await data_->flush(kFile).get());
    co_return Result<void>{};
  };
  auto read = [&](ReadStream& stream, std::mt19937& random) -> Async<void> {
    auto first = below(random, Cells::kCount);
    auto count = 1 + below(random, std::min(12u, Cells::kCount - first));
    std::array<std::uint32_t, Cells::kCount> before{};
    for (auto cell = first; cell < first + count; ++cell) before[cell] = cells.done[cell];
    CO_TRY(auto reply,
           co_await data_->read(stream, kFile, Cells::at(first), count * Cells::kBytes, Cells::kLength).get());
    auto bytes = fake::bytes_of(reply);
    EXPECT_EQ(bytes.size(), count * Cells::kBytes);
    for (std::size_t i = 0; i < bytes.size(); i += 8) {
      std::array<std::uint32_t, 2> word{};
      std::memcpy(word.data(), bytes.data() + i, sizeof word);
      auto cell = first + static_cast<std::uint32_t>(i / Cells::kBytes);
      bool fits = (word[1] == 0 || word[0] == cell) && word[1] >= before[cell] && word[1] <= cells.begun[cell];
      if (fits) continue;
      ADD_FAILURE() << "cell " << cell << " at " << i % Cells::kBytes << " shows version " << word[1] << " of cell "
                    << word[0] << "; written before the read: " << before[cell];
      co_return posix(EILSEQ);
    }
    co_return Result<void>{};
  };
  run(kWriters + kReaders, [&](unsigned i) -> asio::awaitable<void> {
    std::mt19937 random(i + 1);
    auto stream = data_->open_stream(kFile);
    for (int turn = 0; turn < 120; ++turn) {
      if (i < kWriters) {
        CO_ASSERT_OK(co_await write(i, random));
      } else {
        CO_ASSERT_OK(co_await read(*stream, random));
      }
      if (i == kWriters && turn % 16 == 0)
        CO_ASSERT_OK(co_await data_->compact(kFile, ChunkIndex{turn % 32 ? 0u : 1u}));
    }
  });
  EXPECT_GT(meta_->commits, 0);
}

/// Many files, each in the hands of one coroutine at a time, whichever loop that is on; stores fail now and then.
TEST_F(DataOnLoops, ManyFilesPassFromLoopToLoop) {
  struct File {
    Mutex turn;
    std::vector<std::byte> bytes;  // guarded by turn
  };
  std::array<File, 24> files;
  // Every seventh request fails, whoever makes it: nobody meets nine failures in a row, which is when the store gives
  // up.
  store_->judge([asked = std::make_shared<std::atomic<unsigned>>(0)](object::Method method, const object::ObjectKey&) {
    bool counts = method == object::Method::put || method == object::Method::get;
    return counts && ++*asked % 7 == 0 ? make_error_code(object::ObjectErrc::unavailable) : std::error_code();
  });
  auto step = [&](File& file, Ino ino, std::mt19937& random) -> Async<void> {
    auto at = random() % 150'000;
    switch (random() % 8) {
      case 0:
        co_return co_await data_->flush(ino).get();
      case 1:
      case 2:
      case 3: {
        auto stream = data_->open_stream(ino);
        CO_TRY(auto reply, co_await data_->read(*stream, ino, at, 60'000, file.bytes.size()).get());
        auto want = std::span(file.bytes).subspan(std::min<std::size_t>(at, file.bytes.size()));
        EXPECT_TRUE(std::ranges::equal(fake::bytes_of(reply), want.first(std::min<std::size_t>(60'000, want.size()))));
        co_return Result<void>{};
      }
      default: {
        auto bytes = fake::pattern(1 + random() % (random() % 4 ? 3000 : 120'000), random());
        if (file.bytes.size() < at + bytes.size()) file.bytes.resize(at + bytes.size());
        std::copy(bytes.begin(), bytes.end(), file.bytes.begin() + static_cast<std::ptrdiff_t>(at));
        CO_TRY(auto wrote, co_await data_->write(ino, at, bytes).get());
        EXPECT_EQ(wrote, bytes.size());
        co_return Result<void>{};
      }
    }
  };
  run(12, [&](unsigned i) -> asio::awaitable<void> {
    std::mt19937 random(i + 1);
    for (int turn = 0; turn < 150; ++turn) {
      auto which = random() % files.size();
      auto mine = co_await files[which].turn.lock();
      CO_ASSERT_OK(co_await step(files[which], Ino{100 + which}, random));
    }
  });
  run(kLoops, [&](unsigned i) -> asio::awaitable<void> {
    for (auto which = i; which < files.size(); which += kLoops) {
      Ino ino{100 + which};
      CO_ASSERT_OK(co_await data_->flush(ino).get());
      CO_ASSERT_OK(co_await data_->compact(ino, ChunkIndex{0}));
      auto stream = data_->open_stream(ino);
      auto size = static_cast<std::uint32_t>(files[which].bytes.size());
      auto reply = co_await data_->read(*stream, ino, 0, size, size).get();
      CO_ASSERT_OK(reply);
      EXPECT_TRUE(std::ranges::equal(fake::bytes_of(*reply), files[which].bytes)) << "file " << which;
    }
  });
}

/// Loops that write and flush the same few files, so that writers are let go and made anew all the time.
TEST_F(DataOnLoops, WritersComeAndGoUnderEveryLoop) {
  constexpr std::uint32_t kPiece = 512, kTurns = 150, kTasks = 8, kFiles = 3;
  run(kTasks, [&](unsigned i) -> asio::awaitable<void> {
    for (std::uint32_t turn = 0; turn < kTurns; ++turn) {
      Ino ino{1 + turn % kFiles};
      auto at = (turn * kTasks + i) * kPiece;
      auto bytes = fake::pattern(kPiece, at);
      CO_ASSERT_OK(co_await data_->write(ino, at, bytes).get());
      CO_ASSERT_OK(co_await data_->flush(ino).get());
      auto stream = data_->open_stream(ino);
      auto reply = co_await data_->read(*stream, ino, at, kPiece, at + kPiece).get();
      CO_ASSERT_OK(reply);
      EXPECT_TRUE(fake::bytes_of(*reply) == bytes);
    }
  });
  for (std::uint32_t file = 0; file < kFiles; ++file) EXPECT_FALSE(data_->dirty(Ino{1 + file}));
}

}  // namespace
}  // namespace kiseki::vfs
