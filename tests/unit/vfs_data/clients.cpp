// Two clients of one volume: what the other one changes.
#include "fakes.hpp"

namespace kiseki::vfs {
namespace {

using fake::pattern;
using fake::Rig;
constexpr Ino kFile{7};

/// Another client's data path over the same records and objects.
struct Other {
  explicit Other(Rig& rig) : data(make_file_data(rig.meta, rig.retrying, rig.arena, rig.options)) {}
  Async<void> write(std::uint64_t at, std::span<const std::byte> bytes) {
    CO_CHECK(co_await data->write(kFile, at, bytes).get());
    co_return co_await data->flush(kFile).get();
  }
  std::unique_ptr<FileData> data;
};

FileVersion version(std::uint64_t length, std::int64_t mtime, std::int64_t ctime) {
  return {.length = length, .mtime = {mtime, 0}, .ctime = {ctime, 0}};
}

Async<std::vector<std::byte>> read(Rig& rig, std::uint32_t size, FileVersion now) {
  auto stream = rig.data->open_stream(kFile);
  CO_TRY(auto reply, co_await rig.data->read(*stream, kFile, 0, size, now.length, now).get());
  co_return fake::bytes_of(reply);
}

TEST(Clients, WhatAnotherOverwroteIsReadOnceItsAttributesTell) {
  Rig rig;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    Other other(rig);
    auto first = pattern(100'000, 1), second = pattern(100'000, 2), third = pattern(100'000, 3);
    CO_ASSERT_OK(co_await other.write(0, first));
    auto seen = co_await read(rig, 100'000, version(100'000, 1, 1));
    CO_ASSERT_OK(seen);
    EXPECT_TRUE(*seen == first);
    CO_ASSERT_OK(co_await other.write(0, second));
    seen = co_await read(rig, 100'000, version(100'000, 2, 2));
    CO_ASSERT_OK(seen);
    EXPECT_TRUE(*seen == second);
    CO_ASSERT_OK(co_await other.write(0, third));
    seen = co_await read(rig, 100'000, version(100'000, 2, 3));  // a copy that keeps mtime
    CO_ASSERT_OK(seen);
    EXPECT_TRUE(*seen == third);
    auto fetches = rig.meta->fetches;
    CO_ASSERT_OK(co_await read(rig, 100'000, version(100'000, 2, 3)));
    EXPECT_EQ(rig.meta->fetches, fetches) << "nothing has changed";
    CO_ASSERT_OK(co_await other.data->close());
  });
}

TEST(Clients, WhatBothAppendIsThere) {
  Rig rig;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    Other other(rig);
    int moved = 0, moved_there = 0;
    rig.data->watch_moves([&](Ino) { ++moved; });
    other.data->watch_moves([&](Ino) { ++moved_there; });
    auto mine = pattern(1000, 1), theirs = pattern(700, 2), more = pattern(300, 3);
    CO_ASSERT_OK(co_await rig.append(kFile, 0, mine));
    CO_ASSERT_OK(co_await other.data->append(kFile, 0, theirs).get());
    CO_ASSERT_OK(co_await other.data->flush(kFile).get());
    CO_ASSERT_OK(co_await rig.append(kFile, 1000, more));
    EXPECT_EQ(rig.meta->lengths_[kFile], 700u);
    CO_ASSERT_OK(co_await rig.flush(kFile));
    EXPECT_EQ(moved_there, 0);
    EXPECT_EQ(moved, 1);
    auto all = theirs;
    all.insert(all.end(), mine.begin(), mine.end());
    all.insert(all.end(), more.begin(), more.end());
    auto seen = co_await read(rig, 2000, version(2000, 1, 1));
    CO_ASSERT_OK(seen);
    EXPECT_TRUE(*seen == all);
    rig.data->watch_moves({});
    other.data->watch_moves({});
    CO_ASSERT_OK(co_await other.data->close());
  });
}

TEST(Clients, WhatIsWrittenToItsPlaceStaysThereBesideWhatIsAppended) {
  Rig rig;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    Other other(rig);
    auto first = pattern(1000, 1), theirs = pattern(500, 2), mine = pattern(400, 3), head = pattern(100, 4);
    CO_ASSERT_OK(co_await rig.write(kFile, 0, first));
    CO_ASSERT_OK(co_await rig.flush(kFile));
    CO_ASSERT_OK(co_await rig.append(kFile, 1000, mine));
    CO_ASSERT_OK(co_await rig.write(kFile, 0, head));
    CO_ASSERT_OK(co_await other.data->append(kFile, 1000, theirs).get());
    CO_ASSERT_OK(co_await other.data->flush(kFile).get());
    CO_ASSERT_OK(co_await rig.flush(kFile));
    auto all = first;
    std::copy(head.begin(), head.end(), all.begin());
    all.insert(all.end(), theirs.begin(), theirs.end());
    all.insert(all.end(), mine.begin(), mine.end());
    auto seen = co_await read(rig, 1900, version(1900, 1, 1));
    CO_ASSERT_OK(seen);
    EXPECT_TRUE(*seen == all);
    CO_ASSERT_OK(co_await other.data->close());
  });
}

TEST(Clients, WhatWasAppendedAtOnceIsNotTornWhereAChunkEnds) {
  Rig rig;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    auto end = kChunkBytes - 1000;
    rig.meta->lengths_[kFile] = end;
    auto bytes = pattern(3000, 1), more = pattern(10, 2);
    CO_ASSERT_OK(co_await rig.append(kFile, end, bytes));
    CO_ASSERT_OK(co_await rig.append(kFile, end + 3000, more));
    while (rig.meta->commits == 0) co_await sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(rig.meta->lengths_[kFile], end + 3000) << "both halves, though the second is not full";
    CO_ASSERT_OK(co_await rig.flush(kFile));
    EXPECT_EQ(rig.meta->commits, 2);
    EXPECT_EQ(rig.meta->lengths_[kFile], end + 3010);
  });
}

// Commits go in order of creation: what stands between the halves is not of their kind, and goes between them.
TEST(Clients, AnAppendOverAChunksEndWaitsForNothingThatComesAfterIt) {
  Rig rig;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    auto end = kChunkBytes - 1000;
    rig.meta->lengths_[kFile] = end;
    auto few = pattern(500, 1), head = pattern(10, 2), bytes = pattern(3000, 3);
    CO_ASSERT_OK(co_await rig.append(kFile, end, few));
    CO_ASSERT_OK(co_await rig.write(kFile, 0, head));
    CO_ASSERT_OK(co_await rig.append(kFile, end + 500, bytes));
    auto flushed = co_await with_timeout(std::chrono::seconds(20), rig.flush(kFile));
    CO_ASSERT_OK(flushed);
    EXPECT_EQ(rig.meta->lengths_[kFile], end + 3500);
  });
}

TEST(Clients, WhatAnotherAppendedIsNotZeros) {
  Rig rig;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    Other other(rig);
    std::vector<std::byte> all;
    for (int i = 1; i <= 5; ++i) {
      auto piece = pattern(10'000, static_cast<std::uint64_t>(i));
      CO_ASSERT_OK(co_await other.write(all.size(), piece));
      all.insert(all.end(), piece.begin(), piece.end());
      auto seen = co_await read(rig, 100'000, version(all.size(), i, i));
      CO_ASSERT_OK(seen);
      EXPECT_TRUE(*seen == all) << "after piece " << i;
    }
    CO_ASSERT_OK(co_await other.data->close());
  });
}

TEST(Clients, AChangeThatIsHeardOfIsReadUnderTheSameAttributes) {
  Rig rig;
  fake::with(rig, [&]() -> asio::awaitable<void> {
    Other other(rig);
    auto first = pattern(1000, 1), second = pattern(1000, 2);
    CO_ASSERT_OK(co_await other.write(0, first));
    CO_ASSERT_OK(co_await read(rig, 1000, version(1000, 1, 1)));
    CO_ASSERT_OK(co_await other.write(0, second));
    rig.data->invalidate(kFile);
    auto seen = co_await read(rig, 1000, version(1000, 1, 1));
    CO_ASSERT_OK(seen);
    EXPECT_TRUE(*seen == second);
    CO_ASSERT_OK(co_await other.data->close());
  });
}

}  // namespace
}  // namespace kiseki::vfs
