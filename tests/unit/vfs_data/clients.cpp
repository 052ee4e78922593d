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
