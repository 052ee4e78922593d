// The small words: codecs, ranges, ids, guards, sharded tables, answers, clocks.
#include <gtest/gtest.h>

#include <future>
#include <limits>
#include <memory>
#include <thread>

#include "core/answer.hpp"
#include "core/big_endian.hpp"
#include "core/byte_range.hpp"
#include "core/clock.hpp"
#include "core/guard.hpp"
#include "core/ids.hpp"
#include "core/sharded.hpp"
#include "core/shown_slices.hpp"
#include "support/run.hpp"

namespace kiseki {
namespace {

TEST(BigEndian, BuildsAtCompileTime) {
  constexpr auto bytes = BigEndian<15>().u8(0x01).u16(0x0203).u32(0x04050607).u64(0x08090A0B0C0D0E0F).full();
  for (std::size_t i = 0; i < bytes.size(); ++i) EXPECT_EQ(bytes[i], static_cast<std::byte>(i + 1));
}

TEST(BigEndian, WriterAndReaderAgree) {
  std::string out;
  BigEndianWriter(out).u8(0xFF).u16(0x8001).u32(0xFFFFFFFE).u64(0x8000000000000001).bytes("abc");
  EXPECT_EQ(out, std::string("\xFF\x80\x01\xFF\xFF\xFF\xFE\x80\0\0\0\0\0\0\x01"
                             "abc",
                             18));
  BigEndianReader in(out);
  EXPECT_EQ(in.u8(), 0xFF);
  EXPECT_EQ(in.u16(), 0x8001);
  EXPECT_EQ(in.u32(), 0xFFFFFFFE);
  EXPECT_EQ(in.u64(), 0x8000000000000001);
  EXPECT_EQ(in.left(), 3u);
  EXPECT_EQ(in.bytes(3), "abc");
  EXPECT_TRUE(in.ok());
}

TEST(BigEndian, ReaderStopsForGoodAtTheEnd) {
  BigEndianReader in(std::string_view("\x01\x02\x03", 3));
  EXPECT_EQ(in.u16(), 0x0102);
  EXPECT_EQ(in.u32(), 0u);
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.u8(), 0u) << "the byte that is left must not be read as something else";
  EXPECT_EQ(in.bytes(std::numeric_limits<std::size_t>::max()), "");
  EXPECT_FALSE(in.ok());
}

TEST(ByteRange, RefusesToWrap) {
  EXPECT_FALSE(ByteRange::of(~0ull, 1));
  auto last = ByteRange::of(~0ull, 0);
  ASSERT_TRUE(last);
  EXPECT_TRUE(last->empty());
  EXPECT_EQ(ByteRange::of(3, 4)->size(), 4u);
}

TEST(Result, SpeaksErrno) {
  Result<int> none = posix(ENOENT);
  EXPECT_EQ(to_errno(none.error()), ENOENT);
  EXPECT_EQ(to_errno(std::make_error_code(std::future_errc::no_state)), EIO) << "what POSIX has no number for is EIO";
}

TEST(Answer, IsHereOrComes) {
  test::run([]() -> asio::awaitable<void> {
    Answer<int> now(Result<int>(3));
    EXPECT_TRUE(now.ready());
    EXPECT_EQ((co_await std::move(now).get()).value(), 3);
    auto coming = []() -> Async<int> { co_return 4; };
    Answer<int> later(coming());
    EXPECT_FALSE(later.ready());
    EXPECT_EQ((co_await std::move(later).get()).value(), 4);
    Answer<int> error(posix(EPERM));
    EXPECT_EQ(error.now().error(), posix(EPERM));
  });
}

TEST(Guard, RunsOnceUnlessDismissed) {
  int runs = 0;
  {
    Guard first([&] { ++runs; });
    Guard second(std::move(first));
    EXPECT_EQ(runs, 0);
  }
  EXPECT_EQ(runs, 1);
  {
    Guard dismissed([&] { ++runs; });
    dismissed.dismiss();
    Guard early([&] { ++runs; });
    early.run();
    EXPECT_EQ(runs, 2);
  }
  EXPECT_EQ(runs, 2);
}

TEST(ManualClock, MovesWhenTold) {
  ManualClock clock;
  auto start = clock.now();
  EXPECT_EQ(clock.now(), start);
  clock.advance(std::chrono::milliseconds(1500));
  EXPECT_EQ(clock.now().sec, start.sec + 1);
  EXPECT_EQ(clock.now().nsec, 500'000'000u);
}

TEST(Sharded, CountsUnderThreads) {
  Sharded<Ino, int, 8> table;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (std::uint64_t i = 0; i < 1000; ++i) table.with(Ino{i % 100}, [&](auto& map) { ++map[Ino{i % 100}]; });
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(table.size(), 100u);
  std::size_t shards_used = 0;
  int total = 0;
  table.each_shard([&](auto& map) {
    shards_used += !map.empty();
    for (auto& [ino, count] : map) total += count;
  });
  EXPECT_EQ(total, 4000);
  EXPECT_EQ(shards_used, 8u) << "sequential inodes spread over all shards";
  const auto& view = table;
  EXPECT_EQ(view.with(Ino{7}, [](const auto& map) { return map.at(Ino{7}); }), 40);
}

TEST(ShownSlices, LaterRecordsCoverEarlierOnes) {
  Slices records{{10, SliceId{10}, 30, 0, 30}, {20, SliceId{11}, 16, 0, 16}, {16, SliceId{12}, 10, 0, 10}};
  EXPECT_EQ(shown_slices(records), (Slices{{10, SliceId{10}, 30, 0, 6},
                                           {16, SliceId{12}, 10, 0, 10},
                                           {26, SliceId{11}, 16, 6, 10},
                                           {36, SliceId{10}, 30, 26, 4}}));
  EXPECT_TRUE(shown_slices({}).empty());
  EXPECT_TRUE(shown_slices({{0, SliceId{1}, 4, 0, 4}, {0, SliceId{0}, 0, 0, 4}}).empty()) << "a hole on top";
}

}  // namespace
}  // namespace kiseki
