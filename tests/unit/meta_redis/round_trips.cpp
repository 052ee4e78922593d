// What an operation costs is its round trips: one, and no more than two when the cache knows nothing.
#include <sys/stat.h>

#include "support/tcp_proxy.hpp"
#include "volume.hpp"

namespace kiseki::meta::test {
namespace {

using kiseki::test::TcpProxy;

/// A volume behind a counting proxy; ids are there, scripts are known to the server.
class RoundTrips : public testing::Test {
 protected:
  void SetUp() override {
    ON_REDIS();
    proxy = std::make_unique<TcpProxy>(server().port());
    m = std::make_unique<Mounted>(proxy->port());
    m->format();
    m->join();
    ASSERT_TRUE(eventually([&] { return m->engine->coherent(); })) << "the server does not tell of changes";
    m->must(getattr(*m->client, kRootIno));
    m->file(kRootIno, "warm-up");
    forget();  // then the server learns the script of a look-up
    m->must(lookup(*m->client, kRootIno, "warm-up"));
    m->must(m->client->new_slice_id());
    forget();  // and that of other reads
    m->must(unlink(*m->client, m->root, kRootIno, "warm-up"));
    m->must(getattr(*m->client, kRootIno));
  }
  /// How many round trips `work` makes.
  template <class F>
  int cost(F work) {
    auto before = proxy->round_trips();
    work();
    return proxy->round_trips() - before;
  }
  void forget() { m->client->cache().everything_may_have_changed(); }
  Ino dir(std::string name) { return m->file(kRootIno, std::move(name), FileType::directory); }
  void write(Ino ino, ChunkIndex index) {
    auto id = m->must(m->client->new_slice_id());
    m->must(write_slice(*m->client, ino, index, Slice{0, id, 4096, 0, 4096}, m->clock.now()));
  }

  std::unique_ptr<TcpProxy> proxy;
  std::unique_ptr<Mounted> m;
};

TEST_F(RoundTrips, MakingAndReadingNames) {
  for (auto type : {FileType::file, FileType::directory, FileType::fifo, FileType::symlink}) {
    auto name = "n" + std::to_string(static_cast<int>(type));
    EXPECT_EQ(cost([&] { m->file(kRootIno, name, type); }), 1) << name;
    forget();
    EXPECT_EQ(cost([&] { m->file(kRootIno, name + "cold", type); }), 2) << name;
    forget();
    EXPECT_EQ(cost([&] { m->must(lookup(*m->client, kRootIno, name)); }), 1) << "lookup with attributes";
    EXPECT_EQ(cost([&] { m->must(lookup(*m->client, kRootIno, name)); }), 1) << "the server tells of the name only";
    EXPECT_EQ(cost([&] { m->must(lookup(*m->client, kRootIno, name)); }), 0) << "the server would tell";
    m->must(getattr(*m->client, kRootIno));
  }
  m->must(lookup(*m->client, kRootIno, "n1"));
  EXPECT_EQ(cost([&] {
              auto again = m->runtime.wait(make(*m->client, m->root, kRootIno, "n1", {}));
              EXPECT_EQ(again.error(), posix(EEXIST));
            }),
            0);
}

TEST_F(RoundTrips, ChangingAFile) {
  auto file = m->file(kRootIno, "f");
  AttrChange chmod{.set = kMode, .to = {}};
  chmod.to.mode = 0600;
  auto each = [&](const char* what, auto change) {
    EXPECT_EQ(cost([&] { change(1); }), 1) << what;
    forget();
    EXPECT_LE(cost([&] { change(2); }), 2) << what << ", cold";
    m->must(getattr(*m->client, file));
    m->must(getattr(*m->client, kRootIno));
    m->must(lookup(*m->client, kRootIno, "f"));
  };
  each("setattr", [&](int) { m->must(setattr(*m->client, m->root, file, chmod)); });
  each("truncate",
       [&](int n) { m->must(truncate(*m->client, m->root, file, 1000u * static_cast<unsigned>(n), false)); });
  each("write", [&](int n) { write(file, ChunkIndex{static_cast<std::uint32_t>(n)}); });
  each("setxattr", [&](int n) { m->must(set_xattr(*m->client, file, "user.a", std::to_string(n), 0)); });
  each("link", [&](int n) { m->must(link(*m->client, m->root, file, kRootIno, "l" + std::to_string(n))); });
}

TEST_F(RoundTrips, WhatOneWroteOneselfIsKnown) {
  auto file = m->file(kRootIno, "f");
  write(file, ChunkIndex{0});
  write(file, ChunkIndex{0});
  EXPECT_EQ(cost([&] {
              EXPECT_EQ(m->must(getattr(*m->client, file)).length, 4096u);
              EXPECT_EQ(m->must(read_slices(*m->client, file, ChunkIndex{0})).size(), 2u);
            }),
            0);
}

TEST_F(RoundTrips, TimesGoWithTheSlicesBeforeThem) {
  auto file = m->file(kRootIno, "f");
  AttrChange times{.set = kMtime | kAtime, .to = {}};
  times.to.mtime = times.to.atime = {1'000, 5};
  std::vector<PlacedSlice> records{{ChunkIndex{0}, Slice{0, SliceId{7}, 10, 0, 10}}};
  EXPECT_EQ(cost([&] {
              auto written =
                  m->must(write_slices(*m->client, file, records, m->clock.now(), AttrOrder{m->root, times}));
              EXPECT_EQ(written.attr.mtime, times.to.mtime);
            }),
            1);
  auto stored = std::get<Attr>(m->get(AttrKey{file}));
  EXPECT_EQ(stored.length, 10u);
  EXPECT_EQ(stored.mtime, times.to.mtime);
}

TEST_F(RoundTrips, RemovingAndRenaming) {
  for (bool cold : {false, true}) {
    auto most = cold ? 2 : 1;
    auto tag = cold ? "cold" : "warm";
    auto begin = [&] {
      if (cold) forget();
    };
    dir(std::string("d") + tag);
    m->file(kRootIno, std::string("f") + tag);
    m->file(kRootIno, std::string("r") + tag);
    auto there = dir(std::string("t") + tag);
    begin();
    EXPECT_EQ(cost([&] { m->must(unlink(*m->client, m->root, kRootIno, std::string("f") + tag)); }), most) << tag;
    begin();
    EXPECT_EQ(cost([&] { m->must(rmdir(*m->client, m->root, kRootIno, std::string("d") + tag)); }), most) << tag;
    begin();
    EXPECT_EQ(cost([&] { m->must(rename(*m->client, m->root, kRootIno, std::string("r") + tag, there, "x", 0)); }),
              most)
        << tag;
  }
}

TEST_F(RoundTrips, ASmallFileFromCreateToClose) {
  auto trips = cost([&] {
    auto looked = m->runtime.wait(lookup(*m->client, kRootIno, "small"));  // the kernel asks before it creates
    EXPECT_FALSE(looked);
    write(m->file(kRootIno, "small"), ChunkIndex{0});
  });
  EXPECT_LE(trips, 3);
}

TEST_F(RoundTrips, ListingTenThousandFiles) {
  auto big = dir("big");
  std::vector<Write> writes;
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    Attr attr;
    attr.mode = 0644, attr.nlink = 1, attr.parent = big, attr.length = i;
    writes.push_back(PutAttr{Ino{100'000 + i}, attr});
    writes.push_back(PutEntry{{big, "file-" + std::to_string(i)}, {Ino{100'000 + i}, FileType::file}});
    // Redis 7.0 looks through all keys that a tracked script declares, for each that it reads.
    if (i % 500 == 499) m->put(std::exchange(writes, {}));
  }
  m->must(getattr(*m->client, big));
  std::size_t listed = 0;
  EXPECT_LE(cost([&] {
              std::string cursor;
              do {
                auto page = m->must(list(*m->client, big, cursor, 4096, true));
                for (auto& one : page.entries) listed += one.attr.has_value();
                cursor = page.next;
              } while (!cursor.empty());
            }),
            5);
  EXPECT_EQ(listed, 10'000u);
}

TEST_F(RoundTrips, ReadsOfOneTurnShareTheWire) {
  std::vector<Ino> files, dirs{kRootIno, dir("other")};
  for (std::size_t i = 0; i < 32; ++i) files.push_back(m->file(dirs[i % 2], "f" + std::to_string(i)));
  auto damaged = m->file(kRootIno, "damaged");
  kiseki::test::say(server().port(), "SET i" + std::to_string(damaged.value) + " short\r\n");
  m->must(m->engine->catch_up());
  int wrong = 0;
  auto expect = [&](Keys keys, std::size_t place, std::error_code error, Ino parent) -> Async<void> {
    auto records = co_await m->engine->fetch(std::move(keys));
    auto* attr = records ? std::get_if<Attr>(&(*records)[place]) : nullptr;
    auto right = error ? !records && records.error() == error
                       : records && (parent.value == 0 ? !attr : attr && attr->parent == parent);
    wrong += !right;
    co_return Result<void>{};
  };
  auto work = [&]() -> asio::awaitable<void> {
    std::vector<Async<void>> reads;
    auto look_up = [&](Ino parent, std::string name, std::error_code error, Ino found) {
      reads.push_back(expect({EntryKey{parent, name}, ChildKey{parent, name}}, 1, error, found));
    };
    for (std::size_t i = 0; i < files.size(); ++i) {
      look_up(dirs[i % 2], "f" + std::to_string(i), {}, dirs[i % 2]);
      reads.push_back(expect({AttrKey{files[i]}}, 0, {}, dirs[i % 2]));
    }
    look_up(kRootIno, "none", {}, Ino{0});
    look_up(kRootIno, "damaged", posix(EIO), Ino{0});
    reads.push_back(expect({AttrKey{damaged}}, 0, posix(EIO), Ino{0}));
    reads.push_back(expect({AttrKey{Ino{999'999}}, AttrKey{files[1]}}, 1, {}, dirs[1]));
    auto all = co_await fan_out(std::move(reads), 256);
    EXPECT_TRUE(all) << all.error().message();
  };
  EXPECT_EQ(cost([&] { m->runtime.wait(work()); }), 1);
  EXPECT_EQ(wrong, 0) << "each its own, and the damaged one alone told so";
}

TEST_F(RoundTrips, ReadsGoOnWhenTheOneThatAskedForAllIsCancelled) {
  auto file = m->file(kRootIno, "f");
  auto read = [&]() -> Async<void> {
    auto records = co_await m->engine->fetch({AttrKey{file}});
    co_return records ? Result<void>{} : Result<void>(records.error());
  };
  auto work = [&](std::chrono::nanoseconds patience) -> asio::awaitable<void> {
    std::vector<Async<void>> both;
    both.push_back([](std::chrono::nanoseconds budget, Async<void> first) -> Async<void> {
      auto cut_short = co_await with_timeout(budget, std::move(first));
      EXPECT_TRUE(cut_short || cut_short.error() == posix(ETIMEDOUT)) << cut_short.error().message();
      co_return Result<void>{};
    }(patience, read()));
    both.push_back(read());
    auto all = co_await fan_out(std::move(both), 2);
    EXPECT_TRUE(all) << all.error().message();
  };
  for (int us = 0; us < 200; us += 5) m->runtime.wait(work(std::chrono::microseconds(us)));
}

/// While one asks for all, the next gathers; the reply to the first must not end, or lose, who has joined the second.
TEST_F(RoundTrips, ReadsThatOverlapAllEnd) {
  auto file = m->file(kRootIno, "f");
  auto some_reads = [&](unsigned seed) -> Async<void> {
    std::minstd_rand random(seed);
    for (int i = 0; i < 5; ++i) {
      for (auto turns = random() % 4; turns > 0; --turns)
        co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
      CO_TRY(auto records, co_await m->engine->fetch({AttrKey{file}}));
      EXPECT_TRUE(std::holds_alternative<Attr>(records[0]));
    }
    co_return Result<void>{};
  };
  auto round = [&](unsigned number) -> Async<void> {
    std::vector<Async<void>> readers;
    for (unsigned i = 0; i < 8; ++i) readers.push_back(some_reads(8 * number + i + 1));
    return with_timeout(std::chrono::seconds(10), fan_out(std::move(readers), 8));
  };
  for (unsigned number = 0; number < 300; ++number) {
    auto done = m->runtime.wait(round(number));
    ASSERT_TRUE(done) << "round " << number << ": " << done.error().message();
  }
}

TEST_F(RoundTrips, ManySliceCommitsShareTheWire) {
  auto file = m->file(kRootIno, "f");
  auto work = [&]() -> asio::awaitable<void> {
    std::vector<Async<void>> writes;
    for (std::uint32_t i = 0; i < 32; ++i)
      writes.push_back([](Mounted& mounted, Ino ino, std::uint32_t index) -> Async<void> {
        Slice slice{0, SliceId{1000 + index}, 4096, 0, 4096};
        CO_TRY(auto done, co_await write_slice(*mounted.client, ino, ChunkIndex{0}, slice, mounted.clock.now()));
        static_cast<void>(done);
        co_return Result<void>{};
      }(*m, file, i));
    auto all = co_await fan_out(std::move(writes), 32);
    EXPECT_TRUE(all) << all.error().message();
  };
  auto trips = cost([&] { m->runtime.wait(work()); });
  EXPECT_LE(trips, 12) << "together, but for conflicts";
  EXPECT_EQ(std::get<Slices>(m->get(ChunkKey{file, ChunkIndex{0}})).size(), 32u);
}

}  // namespace
}  // namespace kiseki::meta::test
