#include "fakes.hpp"

namespace kiseki::vfs {
namespace {

using fake::pattern;
using fake::Rig;
constexpr Ino kFile{7};

#define CO_EXPECT_BYTES(have, want)               \
  do {                                            \
    CO_ASSERT_OK(have);                           \
    EXPECT_TRUE(*have == want) << "bytes differ"; \
  } while (0)

TEST(FileData, AFileReadsBackAndWritesAreAnsweredAtOnce) {
  Rig rig;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    auto bytes = pattern(5'000'000, 1);
    for (std::size_t at = 0; at < bytes.size(); at += 131072)
      CO_ASSERT_OK(co_await rig.write(kFile, at,
                                      std::span(bytes).subspan(at, std::min<std::size_t>(131072, bytes.size() - at))));
    EXPECT_EQ(rig.ready_writes, 39);
    EXPECT_EQ(rig.data->pending_length(kFile), bytes.size());
    EXPECT_TRUE(rig.data->dirty(kFile));
    CO_ASSERT_OK(co_await rig.flush(kFile));
    EXPECT_FALSE(rig.data->dirty(kFile));
    EXPECT_EQ(rig.data->pending_length(kFile), std::nullopt);
    EXPECT_EQ(rig.meta->records(kFile, ChunkIndex{0}), 1u) << "a sequential file is one slice";
    EXPECT_EQ(rig.memory->count(), 5u);
    auto back = co_await rig.read(kFile, 0, 5'000'000, bytes.size());
    CO_EXPECT_BYTES(back, bytes);
    auto again = co_await rig.read(kFile, 1'000'001, 7, bytes.size());
    CO_ASSERT_OK(again);
    EXPECT_TRUE(std::equal(again->begin(), again->end(), bytes.begin() + 1'000'001));
    EXPECT_GE(rig.ready_reads, 1);
    EXPECT_EQ(rig.store->requests(object::Method::get), 4u)
        << "full blocks leave memory with their upload, the short one stays";
  });
}

TEST(FileData, FullBlocksStayInMemoryAfterTheirUploadWhenAsked) {
  Rig rig;
  rig.options.cache_full_writes = true;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    auto bytes = pattern(3'000'000, 1);
    CO_ASSERT_OK(co_await rig.write(kFile, 0, bytes));
    CO_ASSERT_OK(co_await rig.flush(kFile));
    auto back = co_await rig.read(kFile, 0, 3'000'000, bytes.size());
    CO_EXPECT_BYTES(back, bytes);
    EXPECT_EQ(rig.store->requests(object::Method::get), 0u) << "what was just written is in memory";
  });
}

TEST(FileData, AnEmptyFileFlushesAndReadsAsNothing) {
  Rig rig;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await rig.flush(kFile));
    auto back = co_await rig.read(kFile, 0, 100, 0);
    CO_ASSERT_OK(back);
    EXPECT_TRUE(back->empty());
    CO_ASSERT_OK(co_await rig.write(kFile, 0, {}));
    EXPECT_FALSE(rig.data->dirty(kFile));
  });
}

TEST(FileData, AReadSeesWhatThisMountWroteBeforeAnyFlush) {
  // SEMANTICS: POSIX: a read sees every write that returned before it
  Rig rig;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    auto bytes = pattern(10'000, 2);
    CO_ASSERT_OK(co_await rig.write(kFile, 500, bytes));
    auto back = co_await rig.read(kFile, 0, 10'500, 10'500);
    std::vector<std::byte> want(500);
    want.insert(want.end(), bytes.begin(), bytes.end());
    CO_EXPECT_BYTES(back, want);
  });
}

TEST(FileData, HolesReadAsZerosAcrossChunks) {
  Rig rig;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    auto bytes = pattern(1000, 3);
    auto at = 3 * kChunkBytes - 500;
    CO_ASSERT_OK(co_await rig.write(kFile, at, bytes));
    CO_ASSERT_OK(co_await rig.flush(kFile));
    EXPECT_EQ(rig.meta->records(kFile, ChunkIndex{2}), 1u);
    EXPECT_EQ(rig.meta->records(kFile, ChunkIndex{3}), 1u);
    auto back = co_await rig.read(kFile, at - 2'000'000, 2'001'000, at + 1000);
    std::vector<std::byte> want(2'000'000);
    want.insert(want.end(), bytes.begin(), bytes.end());
    CO_EXPECT_BYTES(back, want);
    auto past = co_await rig.read(kFile, at + 900, 5000, at + 1000);
    CO_ASSERT_OK(past);
    EXPECT_EQ(past->size(), 100u) << "clipped to the length";
  });
}

TEST(FileData, ManySmallScatteredWritesCostFewObjectsAndCommits) {
  Rig rig;
  rig.options.compaction = false;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    auto bytes = pattern(4096, 4);
    std::vector<std::byte> want(4096 * 2000);
    std::mt19937 random(4);
    std::uint64_t end = 0;
    for (int i = 0; i < 500; ++i) {
      auto at = std::uint64_t{random() % 2000} * 4096;
      bytes[0] = static_cast<std::byte>(i);
      CO_ASSERT_OK(co_await rig.write(kFile, at, bytes));
      std::copy(bytes.begin(), bytes.end(), want.begin() + static_cast<std::ptrdiff_t>(at));
      end = std::max(end, at + 4096);
    }
    CO_ASSERT_OK(co_await rig.flush(kFile));
    EXPECT_LE(rig.memory->count(), 8u);
    EXPECT_LE(rig.meta->commits, 4);
    want.resize(end);
    auto back = co_await rig.read(kFile, 0, static_cast<std::uint32_t>(end), end);
    CO_EXPECT_BYTES(back, want);
  });
}

TEST(FileData, RewritingWhatIsNotUploadedChangesItInPlace) {
  Rig rig;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    auto bytes = pattern(100'000, 5);
    CO_ASSERT_OK(co_await rig.write(kFile, 0, bytes));
    auto other = pattern(100, 6);
    CO_ASSERT_OK(co_await rig.write(kFile, 50'000, other));
    std::copy(other.begin(), other.end(), bytes.begin() + 50'000);
    CO_ASSERT_OK(co_await rig.flush(kFile));
    EXPECT_EQ(rig.meta->records(kFile, ChunkIndex{0}), 1u);
    auto back = co_await rig.read(kFile, 0, 100'000, 100'000);
    CO_EXPECT_BYTES(back, bytes);
  });
}

TEST(FileData, OpenSlicesAreFrozenByAge) {
  // SEMANTICS: data nobody synced is written out within about five seconds
  Rig rig;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await rig.write(kFile, 0, pattern(1000, 7)));
    for (int i = 0; i < 40 && rig.data->dirty(kFile); ++i) co_await sleep_for(std::chrono::milliseconds(100));
    EXPECT_FALSE(rig.data->dirty(kFile));
    EXPECT_EQ(rig.meta->commits, 1);
  });
}

TEST(FileData, TheTimeOfAFileNeverGoesBack) {
  Rig rig;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await rig.write(kFile, 0, pattern(100, 1)));
    CO_ASSERT_OK(co_await rig.write(kFile, 70'000, pattern(100, 2)));
    rig.clock->advance(std::chrono::seconds(1));
    CO_ASSERT_OK(co_await rig.write(kFile, 100, pattern(100, 3)));  // goes on with the first slice
    CO_ASSERT_OK(co_await rig.flush(kFile));
    CO_ASSERT_TRUE(!rig.meta->mtimes.empty());
    // Each commit leaves a later time than the one before it: none need move ctime to be seen, and the last leaves what
    // was shown before.
    EXPECT_EQ(std::ranges::adjacent_find(rig.meta->mtimes, std::greater_equal()), rig.meta->mtimes.end());
    EXPECT_EQ(rig.meta->mtimes.back(), rig.clock->now());
  });
}

TEST(FileData, AnOrderGoesWithTheLastOfWhatIsBuffered) {
  Rig rig;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    meta::AttrOrder order;
    order.change.to.mode = 0640;
    CO_ASSERT_OK(co_await rig.write(kFile, 0, pattern(100, 1)));
    CO_ASSERT_OK(co_await rig.write(kFile, 5'000'000, pattern(100, 2)));
    auto after = co_await rig.data->flush_then(kFile, order);
    CO_ASSERT_OK(after);
    CO_ASSERT_TRUE(after->has_value());
    EXPECT_EQ((*after)->mode, 0640);
    auto commits = rig.meta->commits;
    EXPECT_LE(commits, 2) << "one for each write, or one for both";
    EXPECT_EQ(rig.meta->ordered, 1) << "in the last of them";

    after = co_await rig.data->flush_then(kFile, order);
    CO_ASSERT_OK(after);
    EXPECT_FALSE(after->has_value()) << "nothing was buffered: the order is the caller's to carry out";
    EXPECT_EQ(rig.meta->commits, commits);

    rig.meta->write_errors = {posix(ENOSPC)};
    CO_ASSERT_OK(co_await rig.write(kFile, 0, pattern(100, 3)));
    EXPECT_EQ((co_await rig.data->flush_then(kFile, order)).error(), posix(ENOSPC));
    EXPECT_EQ(rig.meta->ordered, 1);
  });
}

TEST(FileData, AnUploadThatFailsIsTriedAgainAndNothingIsLost) {
  Rig rig;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    auto bytes = pattern(4'000'000, 8);
    rig.store->fail_next(object::Method::put, make_error_code(object::ObjectErrc::unavailable), 2);
    rig.store->lose_next_put_answer(make_error_code(object::ObjectErrc::throttled));
    CO_ASSERT_OK(co_await rig.write(kFile, 0, bytes));
    CO_ASSERT_OK(co_await rig.flush(kFile));
    auto back = co_await rig.read(kFile, 0, 4'000'000, bytes.size());
    CO_EXPECT_BYTES(back, bytes);
  });
}

TEST(FileData, AFullStoreSaysSoOnceAndLeavesNoObjects) {
  // SEMANTICS: what could not be stored of a file is told to each descriptor open meanwhile, once
  Rig rig;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    int puts = 0;
    rig.store->judge([&puts](object::Method method, const object::ObjectKey&) -> std::error_code {
      if (method == object::Method::put && ++puts > 2) return make_error_code(object::ObjectErrc::no_space);
      return {};
    });
    CO_ASSERT_OK(co_await rig.write(kFile, 0, pattern(4'500'000, 9)));
    auto flushed = co_await rig.flush(kFile);
    CO_ASSERT_TRUE(!flushed);
    EXPECT_EQ(flushed.error(), posix(ENOSPC));
    EXPECT_EQ(rig.memory->count(), 0u) << "uploaded blocks of a lost slice are removed";
    EXPECT_EQ(rig.meta->records(kFile, ChunkIndex{0}), 0u);
    CO_ASSERT_OK(co_await rig.flush(kFile));
    rig.store->judge({});
    CO_ASSERT_OK(co_await rig.write(kFile, 0, pattern(1000, 10)));
    CO_ASSERT_OK(co_await rig.flush(kFile));
  });
}

TEST(FileData, WhatIsLostIsToldOnceToEachWhoHadTheFileOpen) {
  Rig rig;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    rig.meta->write_errors = {posix(EDQUOT)};
    CO_ASSERT_OK(co_await rig.write(kFile, 0, pattern(1000, 11)));
    for (int i = 0; i < 40 && rig.data->dirty(kFile); ++i) co_await sleep_for(std::chrono::milliseconds(100));
    EXPECT_EQ(rig.data->losses().since(0, kFile), posix(EDQUOT));
    EXPECT_FALSE(rig.data->losses().since(0, Ino{8}));
    CO_ASSERT_OK(co_await rig.data->flush(kFile).get());  // who only waits takes it from nobody
    auto other = std::make_shared<LossesTold>(), later = std::make_shared<LossesTold>();
    later->count = rig.data->losses().count();
    for (const auto& told : {rig.told, other}) {
      auto flushed = co_await rig.data->flush(kFile, told).get();
      CO_ASSERT_TRUE(!flushed);
      EXPECT_EQ(flushed.error(), posix(EDQUOT));
    }
    for (const auto& told : {rig.told, other, later}) CO_ASSERT_OK(co_await rig.data->flush(kFile, told).get());
    EXPECT_FALSE(rig.data->dirty(kFile));
    CO_ASSERT_OK(co_await rig.write(Ino{8}, 0, pattern(10, 1)));
    EXPECT_EQ(rig.memory->count(), 0u);
  });
}

TEST(FileData, ACommitWithUnknownOutcomeKeepsItsObjects) {
  Rig rig;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    rig.meta->write_errors = {posix(ETIMEDOUT)};
    CO_ASSERT_OK(co_await rig.write(kFile, 0, pattern(1000, 12)));
    auto flushed = co_await rig.flush(kFile);
    CO_ASSERT_TRUE(!flushed);
    EXPECT_EQ(flushed.error(), posix(EIO));
    EXPECT_EQ(rig.memory->count(), 1u) << "the record may be there: only gc can tell";
  });
}

TEST(FileData, LengthGrowsInOrderWhateverUploadEndsFirst) {
  Rig rig(64, 1 << 20, 16);
  fake::with(rig, [&]() -> asio::awaitable<void> {
    int puts = 0;
    rig.store->gate([&puts](object::Method method, object::ObjectKey) -> asio::awaitable<void> {
      if (method == object::Method::put && ++puts == 1) co_await sleep_for(std::chrono::milliseconds(50));
    });
    std::uint64_t seen = 0;
    bool in_order = true;
    rig.meta->before_write = [&]() -> asio::awaitable<void> {
      std::lock_guard lock(rig.meta->mutex);
      in_order &= rig.meta->lengths_[kFile] >= seen;
      seen = rig.meta->lengths_[kFile];
      co_return;
    };
    // Three streams far apart: three slices, the first of which is the last to be stored.
    auto bytes = pattern(1 << 20, 13);
    CO_ASSERT_OK(co_await rig.write(kFile, 0, bytes));
    CO_ASSERT_OK(co_await rig.write(kFile, kChunkBytes, bytes));
    CO_ASSERT_OK(co_await rig.write(kFile, 2 * kChunkBytes, bytes));
    CO_ASSERT_OK(co_await rig.flush(kFile));
    EXPECT_TRUE(in_order);
    EXPECT_EQ(rig.meta->lengths_[kFile], 2 * kChunkBytes + bytes.size());
    std::vector<std::uint64_t> ids;
    for (std::uint32_t i = 0; i < 3; ++i) EXPECT_EQ(rig.meta->records(kFile, ChunkIndex{i}), 1u);
  });
}

TEST(FileData, WritingMoreThanMemoryHoldsWaitsAndLosesNothing) {
  // SEMANTICS: over it, writers and readers wait
  Rig rig(8, 1 << 20, 2);
  fake::with(rig, [&]() -> asio::awaitable<void> {
    rig.store->gate([](object::Method, object::ObjectKey) -> asio::awaitable<void> {
      co_await sleep_for(std::chrono::milliseconds(1));
    });
    std::vector<Async<void>> writers;
    for (std::uint64_t f = 1; f <= 6; ++f) {
      auto one = [](Rig& r, Ino ino) -> Async<void> {
        auto bytes = pattern(6'000'000, ino.value);
        for (std::size_t at = 0; at < bytes.size(); at += 300'000)
          CO_CHECK(co_await r.write(ino, at,
                                    std::span(bytes).subspan(at, std::min<std::size_t>(300'000, bytes.size() - at))));
        co_return Result<void>{};
      };
      writers.push_back(one(rig, Ino{f}));
    }
    CO_ASSERT_OK(co_await fan_out(std::move(writers), 6));
    for (std::uint64_t f = 1; f <= 6; ++f) {
      CO_ASSERT_OK(co_await rig.flush(Ino{f}));
      auto back = co_await rig.read(Ino{f}, 0, 6'000'000, 6'000'000);
      CO_EXPECT_BYTES(back, pattern(6'000'000, f));
    }
  });
}

TEST(FileData, ThousandsOfSmallDirtyFilesDoNotPassTheBudget) {
  Rig rig(8, 1 << 20, 2);
  fake::with(rig, [&]() -> asio::awaitable<void> {
    for (std::uint64_t f = 1; f <= 1000; ++f) CO_ASSERT_OK(co_await rig.write(Ino{f}, 0, pattern(3000, f)));
    for (std::uint64_t f = 1; f <= 1000; f += 37) {
      auto back = co_await rig.read(Ino{f}, 0, 3000, 3000);
      CO_EXPECT_BYTES(back, pattern(3000, f));
    }
  });
}

TEST(FileData, HundredsOfColdReadersStayWithinTheBudget) {
  Rig rig(16, 1 << 20, 8);
  fake::with(rig, [&]() -> asio::awaitable<void> {
    constexpr std::uint64_t kFiles = 200;
    for (std::uint64_t f = 1; f <= kFiles; ++f) {
      CO_ASSERT_OK(co_await rig.write(Ino{f}, 0, pattern(1'500'000, f)));
      CO_ASSERT_OK(co_await rig.flush(Ino{f}));
    }
    rig.store->gate([](object::Method, object::ObjectKey) -> asio::awaitable<void> {
      co_await sleep_for(std::chrono::milliseconds(2));
    });
    std::vector<Async<void>> readers;
    for (std::uint64_t f = 1; f <= kFiles; ++f) {
      auto one = [](Rig& r, Ino ino) -> Async<void> {
        auto want = pattern(1'500'000, ino.value);
        auto stream = r.data->open_stream(ino);
        for (std::uint32_t at = 0; at < want.size(); at += 131072) {
          CO_TRY(auto got, co_await r.read(ino, at, 131072, want.size(), stream.get()));
          EXPECT_TRUE(std::equal(got.begin(), got.end(), want.begin() + at));
        }
        co_return Result<void>{};
      };
      readers.push_back(one(rig, Ino{f}));
    }
    CO_ASSERT_OK(co_await fan_out(std::move(readers), kFiles));
  });
}

TEST(FileData, ASequentialReaderFindsBlocksReadAhead) {
  Rig rig(64, 1 << 20, 32);
  fake::with(rig, [&]() -> asio::awaitable<void> {
    auto bytes = pattern(12 << 20, 14);
    CO_ASSERT_OK(co_await rig.write(kFile, 0, bytes));
    CO_ASSERT_OK(co_await rig.flush(kFile));
    CO_ASSERT_OK(co_await rig.close());
    rig.open(co_await asio::this_coro::executor);
    auto stream = rig.data->open_stream(kFile);
    rig.ready_reads = 0;
    for (std::uint32_t at = 0; at < bytes.size(); at += 131072) {
      auto got = co_await rig.read(kFile, at, 131072, bytes.size(), stream.get());
      CO_ASSERT_OK(got);
      EXPECT_TRUE(std::equal(got->begin(), got->end(), bytes.begin() + at));
      co_await sleep_for(std::chrono::microseconds(200));
    }
    EXPECT_EQ(rig.store->requests(object::Method::get), 12u) << "each block once";
    EXPECT_GE(rig.ready_reads, 85) << "of 96";
  });
}

TEST(FileData, AWindowLargerThanMemoryFetchesEachBlockOnceAndEarly) {
  Rig rig(32, 1 << 20, 16);
  rig.options.max_readahead = 256 << 20;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    auto bytes = pattern(96 << 20, 17);
    for (std::size_t at = 0; at < bytes.size(); at += 8 << 20)
      CO_ASSERT_OK(co_await rig.write(kFile, at, std::span(bytes).subspan(at, 8 << 20)));
    CO_ASSERT_OK(co_await rig.flush(kFile));
    CO_ASSERT_OK(co_await rig.close());
    rig.store->gate([](object::Method, object::ObjectKey) -> asio::awaitable<void> {
      co_await sleep_for(std::chrono::milliseconds(2));
    });
    rig.open(co_await asio::this_coro::executor);
    auto stream = rig.data->open_stream(kFile);
    rig.ready_reads = 0;
    for (std::uint32_t at = 0; at < bytes.size(); at += 1 << 20) {
      auto got = co_await rig.read(kFile, at, 1 << 20, bytes.size(), stream.get());
      CO_ASSERT_OK(got);
      EXPECT_TRUE(std::equal(got->begin(), got->end(), bytes.begin() + at));
      co_await sleep_for(std::chrono::microseconds(500));
    }
    EXPECT_EQ(rig.store->requests(object::Method::get), 96u) << "each block once";
    EXPECT_GE(rig.ready_reads, 70) << "of 96: the reader waits for few";
  });
}

TEST(FileData, ARandomReadOfAColdBlockFetchesJustWhatItAsks) {
  // SEMANTICS: what small random reads fetch of a block is not checked
  Rig rig;
  rig.options.prefetch_workers = 0;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    auto bytes = pattern(4 << 20, 15);
    CO_ASSERT_OK(co_await rig.write(kFile, 0, bytes));
    CO_ASSERT_OK(co_await rig.flush(kFile));
    CO_ASSERT_OK(co_await rig.close());
    rig.open(co_await asio::this_coro::executor);
    auto got = co_await rig.read(kFile, 2'500'001, 4096, bytes.size());
    CO_ASSERT_OK(got);
    EXPECT_TRUE(std::equal(got->begin(), got->end(), bytes.begin() + 2'500'001));
    EXPECT_EQ(block_cache_of(*rig.data).counts().blocks, 0u);
  });
}

TEST(FileData, ABlockThatIsGoneIsLookedUpAgainThenAnError) {
  Rig rig;
  rig.options.compaction = false;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    auto bytes = pattern(1000, 16);
    CO_ASSERT_OK(co_await rig.write(kFile, 0, bytes));
    CO_ASSERT_OK(co_await rig.flush(kFile));
    CO_ASSERT_OK(co_await rig.close());
    rig.open(co_await asio::this_coro::executor);
    // The list is known here; then another client compacts and, without trash, removes the old slice at once.
    auto warm = co_await rig.read(kFile, 2000, 10, 3000);
    CO_ASSERT_OK(warm);
    auto first = rig.meta->chunks[{kFile, ChunkIndex{0}}][0];
    chunk::SliceWriter copy(rig.options.layout, rig.arena);
    EXPECT_EQ(copy.append(bytes), bytes.size());
    SliceId fresh{rig.meta->next_id++};
    CO_ASSERT_OK(co_await chunk::upload_block(rig.memory, rig.options.layout, {fresh, 0}, copy.take_rest()->block));
    CO_ASSERT_OK(co_await chunk::remove_slice(rig.memory, rig.options.layout, first.id, first.size));
    rig.meta->chunks[{kFile, ChunkIndex{0}}] = {{0, fresh, 1000, 0, 1000}};
    auto back = co_await rig.read(kFile, 0, 1000, 1000);
    CO_EXPECT_BYTES(back, bytes);
    CO_ASSERT_OK(co_await rig.close());
    rig.open(co_await asio::this_coro::executor);
    CO_ASSERT_OK(co_await chunk::remove_slice(rig.memory, rig.options.layout, fresh, 1000));
    auto lost = co_await rig.read(kFile, 0, 1000, 1000);
    CO_ASSERT_TRUE(!lost);
    EXPECT_EQ(lost.error(), posix(EIO));
  });
}

}  // namespace
}  // namespace kiseki::vfs
