#include "fakes.hpp"
#include "vfs/compaction_plan.hpp"

namespace kiseki::vfs {
namespace {

using fake::pattern;
using fake::Rig;
constexpr Ino kFile{7};
constexpr ChunkIndex kFirst{0};

TEST(Compaction, RandomChunksReadTheSameAfterwards) {
  int compactions = 0;
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Rig rig(32, 65536, 4);
    rig.options.compaction = false;
    fake::with(rig, [&]() -> asio::awaitable<void> {
      std::mt19937 random(seed);
      std::vector<std::byte> want(3'000'000);
      for (int i = 0; i < 30; ++i) {
        auto at = random() % 1'500'000;
        auto bytes = pattern(1 + random() % (random() % 5 ? 20'000 : 1'400'000), random());
        CO_ASSERT_OK(co_await rig.write(kFile, at, bytes));
        CO_ASSERT_OK(co_await rig.flush(kFile));
        std::copy(bytes.begin(), bytes.end(), want.begin() + static_cast<std::ptrdiff_t>(at));
        if (random() % 4 == 0) {
          auto from = random() % 2'000'000, len = 1 + random() % (seed % 2 ? 100'000 : 600'000);
          rig.meta->punch(kFile, kFirst, static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(len));
          rig.data->invalidate(kFile);
          std::fill_n(want.begin() + static_cast<std::ptrdiff_t>(from), len, std::byte{0});
        }
      }
      auto before = rig.meta->chunks[{kFile, kFirst}];
      auto plan = plan_compaction(before);
      CO_ASSERT_OK(co_await rig.data->compact(kFile, kFirst));
      auto& after = rig.meta->chunks[{kFile, kFirst}];
      EXPECT_EQ(after.size(), plan ? before.size() - plan->count + plan->stretches.size() : before.size());
      EXPECT_FALSE(plan_compaction(after)) << "nothing more to gain";
      EXPECT_EQ(chunk::ChunkView::of(after).data(), chunk::ChunkView::of(before).data()) << "holes stay holes";
      compactions += rig.meta->compactions;
      auto back = co_await rig.read(kFile, 0, 3'000'000, 3'000'000);
      CO_ASSERT_OK(back);
      EXPECT_TRUE(*back == want);
      for (auto [id, size] : rig.meta->released)
        CO_ASSERT_OK(co_await chunk::remove_slice(rig.memory, rig.options.layout, id, size));
      CO_ASSERT_OK(co_await rig.close());
      rig.open(co_await asio::this_coro::executor);
      back = co_await rig.read(kFile, 0, 3'000'000, 3'000'000);
      CO_ASSERT_OK(back);
      EXPECT_TRUE(*back == want);
    });
  }
  EXPECT_GE(compactions, 15);
}

TEST(Compaction, OnlyDataIsWrittenAndReadBackFromBetweenTheHoles) {
  Rig rig(32, 65536, 4);
  rig.options.compaction = false;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    std::vector<std::byte> want(10'000'000);
    for (std::size_t turn = 0; turn < 2; ++turn)
      for (std::size_t i = 0; i < 3; ++i) {
        auto bytes = fake::pattern(100'000, i + turn);  // more than a block
        auto at = 1'000 + i * 4'000'000;
        CO_ASSERT_OK(co_await rig.write(kFile, at, bytes));
        CO_ASSERT_OK(co_await rig.flush(kFile));
        std::copy(bytes.begin(), bytes.end(), want.begin() + static_cast<std::ptrdiff_t>(at));
      }
    auto objects = rig.memory->count();
    CO_ASSERT_OK(co_await rig.data->compact(kFile, kFirst));
    EXPECT_EQ(rig.memory->count() - objects, 5u) << "300,000 bytes in blocks of 65,536";
    auto list = rig.meta->chunks[{kFile, kFirst}];
    CO_ASSERT_TRUE(list.size() == 3);
    for (std::uint32_t i = 0; i < 3; ++i)
      EXPECT_EQ(list[i], (Slice{1'000 + i * 4'000'000, list[0].id, 300'000, i * 100'000, 100'000}));
    EXPECT_EQ(rig.meta->refs[list[0].id], 3);
    for (auto [id, size] : rig.meta->released)
      CO_ASSERT_OK(co_await chunk::remove_slice(rig.memory, rig.options.layout, id, size));
    auto back = co_await rig.read(kFile, 0, 10'000'000, 10'000'000);
    CO_ASSERT_OK(back);
    EXPECT_TRUE(*back == want);
  });
}

TEST(Compaction, AListOfHolesAloneGoes) {
  Rig rig;
  rig.options.compaction = false;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await rig.write(kFile, 0, pattern(10'000, 1)));
    CO_ASSERT_OK(co_await rig.flush(kFile));
    rig.meta->punch(kFile, kFirst, 0, 20'000);
    auto objects = rig.memory->count();
    CO_ASSERT_OK(co_await rig.data->compact(kFile, kFirst));
    EXPECT_EQ(rig.meta->records(kFile, kFirst), 0u);
    EXPECT_EQ(rig.meta->released.size(), 1u);
    EXPECT_EQ(rig.memory->count(), objects) << "nothing is written for it";
  });
}

TEST(Compaction, IsStartedByWritingAndByReading) {
  Rig rig;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    auto bytes = pattern(100, 1);
    for (std::uint64_t i = 0; i < 99; ++i) {
      CO_ASSERT_OK(co_await rig.write(kFile, i * 50, bytes));
      CO_ASSERT_OK(co_await rig.flush(kFile));
    }
    for (int i = 0; i < 100 && rig.meta->records(kFile, kFirst) > 5; ++i)
      co_await sleep_for(std::chrono::milliseconds(5));
    EXPECT_EQ(rig.meta->records(kFile, kFirst), 1u);
    for (std::uint64_t i = 0; i < 6; ++i) {
      CO_ASSERT_OK(co_await rig.write(kFile, i * 50, bytes));
      CO_ASSERT_OK(co_await rig.flush(kFile));
    }
    CO_ASSERT_OK(co_await rig.read(kFile, 0, 10, 5000));
    for (int i = 0; i < 100 && rig.meta->records(kFile, kFirst) > 1; ++i)
      co_await sleep_for(std::chrono::milliseconds(5));
    EXPECT_EQ(rig.meta->records(kFile, kFirst), 1u);
  });
}

TEST(Compaction, AChunkFarTooLongHoldsItsWriterUp) {
  Rig rig;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    auto first = pattern(4096, 1);
    CO_ASSERT_OK(co_await rig.write(kFile, 0, first));
    CO_ASSERT_OK(co_await rig.flush(kFile));
    {
      std::lock_guard lock(rig.meta->mutex);
      auto& list = rig.meta->chunks[{kFile, kFirst}];
      auto whole = list.front();
      for (std::uint32_t i = 0; i < 2600; ++i) list.push_back({i, whole.id, whole.size, i, 1});
      rig.meta->refs[whole.id] += 2600;
    }
    CO_ASSERT_OK(co_await rig.write(kFile, 5000, pattern(100, 2)));
    CO_ASSERT_OK(co_await rig.flush(kFile));
    EXPECT_EQ(rig.meta->records(kFile, kFirst), 2602u - 1000 + 1) << "one pass, before flush returned";
    auto back = co_await rig.read(kFile, 0, 5100, 5100);
    CO_ASSERT_OK(back);
    first.resize(5000);
    auto last = pattern(100, 2);
    first.insert(first.end(), last.begin(), last.end());
    EXPECT_TRUE(*back == first);
  });
}

TEST(Compaction, TheLoserLeavesItsObjectsToWhoReleasesTheSlice) {
  Rig rig;
  rig.options.compaction = false;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    for (std::uint64_t i = 0; i < 3; ++i) {
      CO_ASSERT_OK(co_await rig.write(kFile, i * 50, pattern(100, i)));
      CO_ASSERT_OK(co_await rig.flush(kFile));
    }
    auto objects = rig.memory->count();
    rig.store->gate([&rig](object::Method method, object::ObjectKey) -> asio::awaitable<void> {
      if (method != object::Method::put) co_return;
      std::lock_guard lock(rig.meta->mutex);  // somebody else was faster
      auto& list = rig.meta->chunks[{kFile, kFirst}];
      if (list.size() == 3) list.erase(list.begin());
    });
    CO_ASSERT_OK(co_await rig.data->compact(kFile, kFirst));
    EXPECT_EQ(rig.meta->compactions, 0);
    EXPECT_EQ(rig.meta->released.size(), 1u);
    EXPECT_EQ(rig.memory->count(), objects + 1);
    EXPECT_EQ(rig.store->requests(object::Method::remove), 0u) << "nothing is deleted twice";
  });
}

}  // namespace
}  // namespace kiseki::vfs
