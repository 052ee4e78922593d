// Rules that public POSIX suites taught.
#include <fcntl.h>
#include <linux/falloc.h>

#include "volume.hpp"

namespace kiseki::meta::test {

namespace {

constexpr Who kOwner{.uid = 7, .gid = 8}, kStranger{.uid = 9, .gid = 9};

/// A program of kOwner that holds a few bytes.
Async<Ino> program(Volume& v, std::string name, std::uint16_t mode) {
  CO_TRY(auto ino, co_await v.file(kRootIno, std::move(name), 0644));
  CO_TRY(auto id, co_await v.write(ino, 0, 8192));
  (void)id;
  AttrChange change{.set = kMode | kUid | kGid, .to = {}};
  change.to.mode = mode;
  change.to.uid = kOwner.uid;
  change.to.gid = kOwner.gid;
  CO_CHECK(co_await setattr(*v.client, v.root, ino, change));
  co_return ino;
}

}  // namespace

TEST(Posix, AnyTimeOfADirectoryIsComparedWithoutWrapping) {
  Volume v;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    v.client = std::make_unique<Client>(v.engine, v.format, v.clock, ClientOptions{});  // times may lag 100 ms
    v.client->set_session(SessionId{1});
    auto now = v.clock->now();
    int n = 0;
    // 2^55 seconds are 2^64 times 5^9 nanoseconds: in 64 bits, none at all.
    for (std::int64_t sec : {now.sec - (std::int64_t{1} << 55), INT64_MIN, INT64_MAX, std::int64_t{99'999'999'999}}) {
      AttrChange old{.set = kMtime, .to = {}};
      old.to.mtime = {sec, now.nsec};
      CO_ASSERT_OK(co_await setattr(*v.client, v.root, kRootIno, old));
      CO_ASSERT_OK(co_await v.file(kRootIno, "f" + std::to_string(n++)));
      auto root = co_await getattr(*v.client, kRootIno);
      CO_ASSERT_OK(root);
      EXPECT_EQ(root->mtime, now) << sec;
    }
  });
}

TEST(Posix, ChangesOfContentsTakePrivilegesAway) {
  struct Case {
    Who by;
    std::uint16_t mode, left;
  };
  Volume v;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto source = co_await program(v, "source", 0644);
    CO_ASSERT_OK(source);
    int n = 0;
    for (auto [by, mode, left] : {Case{kStranger, 06777, 0777}, Case{kStranger, 06666, 0666},
                                  Case{kOwner, 06666, 02666}, Case{kOwner, 06676, 0676}}) {
      auto allocated = co_await program(v, "a" + std::to_string(++n), mode);
      auto copied = co_await program(v, "c" + std::to_string(n), mode);
      auto cut = co_await program(v, "t" + std::to_string(n), mode);
      CO_ASSERT_TRUE(allocated && copied && cut);
      auto after =
          co_await fallocate(*v.client, by, *allocated, 0, 4096, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, true);
      CO_ASSERT_OK(after);
      EXPECT_EQ(after->mode, left);
      auto copy = co_await copy_range(*v.client, by, *source, 0, *copied, 0, 4096, true);
      CO_ASSERT_OK(copy);
      EXPECT_EQ(copy->attr.mode, left);
      after = co_await truncate(*v.client, by, *cut, 3, true);
      CO_ASSERT_OK(after);
      EXPECT_EQ(after->mode, left);
    }
    auto kept = co_await program(v, "kept", 06777);
    CO_ASSERT_OK(kept);
    auto after = co_await fallocate(*v.client, v.root, *kept, 0, 100, 0, false);
    CO_ASSERT_OK(after);
    EXPECT_EQ(after->mode, 06777) << "by one who may";
  });
}

TEST(Posix, NoMoreIsAllocatedThanIsFree) {
  for (std::uint64_t capacity : {0u, 64u << 20}) {
    auto format = Volume::plain();
    format.capacity = capacity;
    Volume v(format);
    kiseki::test::run([&]() -> asio::awaitable<void> {
      co_await v.open();
      auto file = co_await v.file(kRootIno, "f");
      CO_ASSERT_OK(file);
      auto free = co_await usage(*v.client);
      CO_ASSERT_OK(free);
      for (std::uint32_t mode : {0u, std::uint32_t{FALLOC_FL_KEEP_SIZE}, std::uint32_t{FALLOC_FL_ZERO_RANGE}}) {
        auto over = co_await fallocate(*v.client, v.root, *file, 0, free->available_bytes + (1 << 20), mode, false);
        EXPECT_EQ(error_of(over), ENOSPC);
      }
      auto within = co_await fallocate(*v.client, v.root, *file, 0, 1 << 20, 0, false);
      CO_ASSERT_OK(within);
      EXPECT_EQ(within->length, 1u << 20);
    });
  }
}

TEST(Posix, ExtendedAttributesMoveCtime) {
  Volume v;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto file = co_await v.file(kRootIno, "f");
    CO_ASSERT_OK(file);
    auto changed = [&]() -> Async<Timestamp> {
      CO_TRY(auto attr, co_await getattr(*v.client, *file));
      co_return attr.ctime;
    };
    v.clock->advance(std::chrono::seconds(5));
    CO_ASSERT_OK(co_await set_xattr(*v.client, *file, "user.a", "1", 0));
    auto set = co_await changed();
    CO_ASSERT_OK(set);
    EXPECT_EQ(*set, v.clock->now());
    v.clock->advance(std::chrono::seconds(5));
    CO_ASSERT_OK(co_await remove_xattr(*v.client, *file, "user.a"));
    auto removed = co_await changed();
    CO_ASSERT_OK(removed);
    EXPECT_EQ(*removed, v.clock->now());
  });
}

TEST(Posix, AccessTimesByMode) {
  Attr attr;
  attr.atime.sec = 100, attr.mtime.sec = 50, attr.ctime.sec = 50;
  Timestamp soon{200, 0}, tomorrow{100 + 24 * 3600, 0};
  ClientOptions noatime, relatime, strict;
  relatime.relatime = strict.strict_atime = true;
  EXPECT_FALSE(atime_is_due(noatime, attr, tomorrow));
  EXPECT_FALSE(atime_is_due(relatime, attr, soon));
  EXPECT_TRUE(atime_is_due(relatime, attr, tomorrow));
  EXPECT_TRUE(atime_is_due(strict, attr, soon));
  attr.mtime.sec = 100;
  EXPECT_TRUE(atime_is_due(relatime, attr, soon)) << "modified since";
}

}  // namespace kiseki::meta::test
