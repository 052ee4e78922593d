// Two clients of one volume: each hears at once what the other changes, and never brings back what was.
#include <atomic>
#include <thread>

#include "support/redis_sets.hpp"
#include "volume.hpp"

namespace kiseki::meta::test {
namespace {

struct Two {
  Two() : a(server().port()), b(server().port()) {
    a.format(), a.join(1), b.join(2);
    EXPECT_TRUE(eventually([&] { return a.engine->coherent() && b.engine->coherent(); }));
  }
  Mounted a, b;
};

AttrChange change(std::uint32_t set, std::uint32_t uid, std::uint16_t mode) {
  AttrChange c{.set = set, .to = {}};
  c.to.uid = uid, c.to.mode = mode;
  return c;
}

TEST(Sharing, AttributesNamesAndContentsAreHeardOf) {
  ON_REDIS();
  Two t;
  auto file = t.a.file(kRootIno, "f");
  EXPECT_TRUE(t.a.client->cached_lookup(kRootIno, "f").has_value());
  t.b.must(lookup(*t.b.client, kRootIno, "f"));
  EXPECT_FALSE(t.b.client->cached_attr(file)) << "read by its name: the server would not tell";
  t.b.must(getattr(*t.b.client, file));
  EXPECT_TRUE(t.b.client->cached_attr(file));
  t.b.must(read_slices(*t.b.client, file, ChunkIndex{0}));
  EXPECT_TRUE(t.b.client->cached_slices(file, ChunkIndex{0}));

  t.a.must(setattr(*t.a.client, t.a.root, file, change(kUid, 7, 0)));
  EXPECT_TRUE(eventually([&] { return !t.b.client->cached_attr(file); }));
  EXPECT_EQ(t.b.must(getattr(*t.b.client, file)).uid, 7u);
  EXPECT_TRUE(t.a.client->cached_attr(file)) << "one's own changes are known";

  t.a.must(write_slice(*t.a.client, file, ChunkIndex{0}, Slice{0, SliceId{5}, 10, 0, 10}, t.a.clock.now()));
  EXPECT_TRUE(eventually([&] { return !t.b.client->cached_slices(file, ChunkIndex{0}); }));

  EXPECT_FALSE(t.b.runtime.wait(lookup(*t.b.client, kRootIno, "g")));
  EXPECT_TRUE(t.b.client->cached_entry(kRootIno, "g").has_value()) << "known not to exist";
  t.a.file(kRootIno, "g");
  EXPECT_TRUE(eventually([&] { return !t.b.client->cached_entry(kRootIno, "g").has_value(); }));
  t.b.must(lookup(*t.b.client, kRootIno, "g"));

  t.b.must(unlink(*t.b.client, t.b.root, kRootIno, "f"));
  EXPECT_TRUE(eventually([&] { return !t.a.client->cached_lookup(kRootIno, "f").has_value(); }));
}

TEST(Sharing, WhoHasCaughtUpIsBehindNobody) {
  ON_REDIS();
  Two t;
  auto file = t.a.file(kRootIno, "f");
  for (std::uint32_t i = 1; i <= 300; ++i) {
    t.b.must(getattr(*t.b.client, file));
    t.b.must(read_slices(*t.b.client, file, ChunkIndex{0}));
    Slice slice{0, SliceId{i}, 10, 0, 10};
    t.a.must(write_slice(*t.a.client, file, ChunkIndex{0}, slice, t.a.clock.now()));
    t.a.must(setattr(*t.a.client, t.a.root, file, change(kUid, i, 0)));
    t.b.must(t.b.engine->catch_up());
    auto attr = t.b.client->cached_attr(file);
    EXPECT_TRUE(!attr || attr->uid == i) << i;
    auto slices = t.b.client->cached_slices(file, ChunkIndex{0});
    EXPECT_TRUE(!slices || slices->back() == slice) << i;
  }
}

TEST(Sharing, CatchingUpIsOneRoundTripForManyAndNoneWithoutTracking) {
  ON_REDIS();
  Two t;
  auto many = [](MetaEngine& engine) -> Async<void> {
    std::vector<Async<void>> all;
    for (int i = 0; i < 100; ++i) all.push_back(engine.catch_up());
    co_return co_await fan_out(std::move(all), 100);
  };
  auto pings = [] {
    auto text = kiseki::test::say(server().port(), "INFO commandstats\r\n");
    auto at = text.find("cmdstat_ping:calls=");
    return at == text.npos ? 0 : std::stoi(text.substr(at + 19));
  };
  auto before = pings();
  t.b.must(many(*t.b.engine));
  EXPECT_LE(pings() - before, 20);
  Mounted deaf(server().port(), "?client-cache=false");
  deaf.must(many(*deaf.engine));
}

TEST(Sharing, WhatIsNewIsKnownToBeEmptyOnlyUntilSomebodyElseFillsIt) {
  ON_REDIS();
  Two t;
  auto file = t.a.file(kRootIno, "f");
  auto dir = t.a.file(kRootIno, "d", FileType::directory);
  EXPECT_TRUE(t.a.client->cached_slices(file, ChunkIndex{0}));
  EXPECT_TRUE(t.a.client->cached_entry(dir, "x").has_value()) << "a directory that we made, with no names yet";
  t.b.must(write_slice(*t.b.client, file, ChunkIndex{0}, Slice{0, SliceId{5}, 10, 0, 10}, t.b.clock.now()));
  t.b.file(dir, "x");
  EXPECT_TRUE(eventually([&] { return !t.a.client->cached_slices(file, ChunkIndex{0}); }));
  EXPECT_TRUE(eventually([&] { return !t.a.client->cached_entry(dir, "x").has_value(); }));
}

TEST(Sharing, AForeignChownIsNotUndoneByAChmod) {
  ON_REDIS();
  Two t;
  auto file = t.a.file(kRootIno, "f");
  for (std::uint32_t i = 1; i <= 100; ++i) {
    t.b.must(getattr(*t.b.client, file));
    t.a.must(setattr(*t.a.client, t.a.root, file, change(kUid, i, 0)));
    t.b.must(setattr(*t.b.client, t.b.root, file, change(kMode, 0, i % 2 ? 0600 : 0640)));
    auto stored = std::get<Attr>(t.a.get(AttrKey{file}));
    EXPECT_EQ(stored.uid, i);
    EXPECT_EQ(stored.mode, i % 2 ? 0600 : 0640);
  }
}

TEST(Sharing, OneDirectoryTwoMakers) {
  ON_REDIS();
  Two t;
  auto make_many = [](Mounted& m, char tag) -> asio::awaitable<void> {
    for (int i = 0; i < 100; ++i) {
      auto made = co_await make(*m.client, m.root, kRootIno, tag + std::to_string(i), {});
      EXPECT_TRUE(made) << made.error().message();
      auto shared = co_await make(*m.client, m.root, kRootIno, "shared" + std::to_string(i), {});
      if (!shared) EXPECT_EQ(shared.error(), posix(EEXIST));
    }
  };
  std::thread other([&] { t.b.runtime.wait(make_many(t.b, 'b')); });
  t.a.runtime.wait(make_many(t.a, 'a'));
  other.join();
  EXPECT_EQ(t.a.must(usage(*t.a.client)).used_inodes, 300u);
  EXPECT_EQ(t.a.must(list(*t.a.client, kRootIno, "", 4096, true)).entries.size(), 300u);
}

TEST(Sharing, ALockGoesFromHandToHandWithoutPolling) {
  ON_REDIS();
  Two t;
  auto file = t.a.file(kRootIno, "f");
  std::atomic<int> inside{0}, turns{0};
  constexpr std::uint32_t kExclusive = 1, kUnlock = 2;
  auto take_turns = [&](Mounted& m) -> asio::awaitable<void> {
    for (int i = 0; i < 100; ++i) {
      auto taken = co_await flock(*m.client, file, 1, kExclusive, true);
      EXPECT_TRUE(taken) << taken.error().message();
      EXPECT_EQ(++inside, 1);
      co_await sleep_for(std::chrono::milliseconds(1));
      --inside, ++turns;
      (void)co_await flock(*m.client, file, 1, kUnlock, false);
    }
  };
  auto began = std::chrono::steady_clock::now();
  std::thread other([&] { t.b.runtime.wait(take_turns(t.b)); });
  t.a.runtime.wait(take_turns(t.a));
  other.join();
  EXPECT_EQ(turns, 200);
  // Polling would take a quarter of a second and more each time the lock changes hands.
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(15));
}

TEST(Sharing, TheSharedLockOfADeadClientBlocksNobody) {
  ON_REDIS();
  Two t;
  auto file = t.a.file(kRootIno, "f");
  t.a.put({PutFileLock{file, {SessionId{77}, 9, false}}});
  t.b.must(flock(*t.b.client, file, 1, 1, false));
  EXPECT_EQ(t.b.get(FileLocksKey{file}), Record(FileLocks{{SessionId{2}, 1, true}}));
  t.b.must(flock(*t.b.client, file, 1, 2, false));
  t.a.must(flock(*t.a.client, file, 1, 0, false));
  EXPECT_EQ(t.b.runtime.wait(flock(*t.b.client, file, 1, 1, false)).error(), posix(EAGAIN)) << "that one lives";
}

TEST(Sharing, ACompactionDisturbsWhoWatchesTheInode) {
  ON_REDIS();
  Two t;
  auto file = t.a.file(kRootIno, "f");
  Slices two{{0, SliceId{5}, 10, 0, 10}, {10, SliceId{6}, 10, 0, 10}};
  for (auto& slice : two) t.a.must(write_slice(*t.a.client, file, ChunkIndex{0}, slice, t.a.clock.now()));
  auto before = t.a.get(AttrKey{file});
  auto id = std::to_string(file.value);
  int fd = connect_to(server().port());  // as JuiceFS copies: it watches the inode, not the list
  EXPECT_EQ(ask(fd, "WATCH i" + id + "\r\n"), "+OK\r\n");
  t.b.must(compacted(*t.b.client, file, ChunkIndex{0}, two, 0, 2, {SliceId{9}, 20, {{0, SliceId{9}, 20, 0, 20}}}));
  EXPECT_EQ(ask(fd, "MULTI\r\n"), "+OK\r\n");
  EXPECT_EQ(ask(fd, "SET i1000 x\r\n"), "+QUEUED\r\n");
  EXPECT_EQ(ask(fd, "EXEC\r\n"), "*-1\r\n");
  ::close(fd);
  EXPECT_EQ(t.a.get(AttrKey{file}), before);
}

TEST(Sharing, NothingIsBelievedWhileTheServerIsAwayIfOldAnswersAreNotWanted) {
  ON_REDIS();
  kiseki::test::RedisServer own;
  Mounted m(own.port());
  m.format();
  m.join(1, std::chrono::seconds(0));
  ASSERT_TRUE(eventually([&] { return m.engine->coherent(); }));
  auto file = m.file(kRootIno, "f");
  EXPECT_TRUE(m.client->cached_attr(file));
  own.kill();
  EXPECT_TRUE(eventually([&] { return !m.engine->coherent(); }));
  EXPECT_FALSE(m.client->cached_attr(file));
  own.start();
  EXPECT_TRUE(eventually([&] { return m.engine->coherent(); }));
  EXPECT_FALSE(m.client->cached_attr(file)) << "what was known before is not believed after";
}

/// An engine opened as a read-only mount and `status` open it.
struct Reader {
  explicit Reader(const std::string& url) {
    runtime.start();
    auto opened = open_engine(url, OpenMode::read_only, runtime);
    if (!opened) throw std::runtime_error(opened.error().message);
    engine = *opened;
  }
  ~Reader() { runtime.wait(engine->close()); }
  Runtime runtime{Runtime::Options{.loops = 1, .pin = false}};
  std::shared_ptr<MetaEngine> engine;
};

TEST(ReadOnly, LeavesTheServersSettingsAlone) {
  ON_REDIS();
  kiseki::test::RedisServer::Options options;
  options.config = {"maxmemory-policy allkeys-lru"};
  kiseki::test::RedisServer evicting(options);
  Reader reader(evicting.url());
  EXPECT_TRUE(reader.runtime.wait(reader.engine->fetch(Keys{SettingKey{}})));
  EXPECT_NE(evicting.command("CONFIG GET maxmemory-policy", 40).find("allkeys-lru"), std::string::npos);
}

TEST(ReadOnly, ReadsFromAReplicaAndHearsThereOfChanges) {
  ON_REDIS();
  kiseki::test::SentinelSet set;
  Mounted m(set.first_master().port());
  m.format();
  m.join();
  auto file = m.file(kRootIno, "f");
  ASSERT_TRUE(eventually([&] { return set.first_replica().command("EXISTS setting").starts_with(":1"); }));
  Reader reader(set.url() + "?route-read=replica&client_name=reader");
  auto format = reader.runtime.wait(read_format(*reader.engine));
  ASSERT_TRUE(format) << format.error().message;
  ClientOptions options;
  options.read_only = true;
  Client client(reader.engine, *format, std::make_shared<SystemClock>(), options);
  EXPECT_NE(set.first_replica().command("CLIENT LIST", 4096).find("name=reader"), std::string::npos);
  EXPECT_EQ(set.first_master().command("CLIENT LIST", 4096).find("name=reader"), std::string::npos);
  ASSERT_TRUE(eventually([&] { return reader.engine->coherent(); }));
  ASSERT_TRUE(eventually([&] { return reader.runtime.wait(getattr(client, file)).has_value(); }));
  EXPECT_TRUE(client.cached_attr(file));
  EXPECT_TRUE(reader.runtime.wait(list(client, kRootIno, "", 10, true)));
  auto checked = reader.runtime.wait(reader.engine->commit({{AttrUnchanged{file, {}, 0}}, {}}));
  EXPECT_TRUE(checked && checked->applied);
  m.must(setattr(*m.client, m.root, file, change(kUid, 7, 0)));
  EXPECT_TRUE(eventually([&] { return !client.cached_attr(file); }));
  EXPECT_EQ(reader.runtime.wait(reader.engine->commit({{}, {PutSetting{"x"}}})).error(), posix(EROFS));
}

kiseki::test::RedisServer::Options with_log() {
  kiseki::test::RedisServer::Options options;
  options.config = {"appendonly yes", "appendfsync everysec"};
  return options;
}

TEST(Sharing, WhatWasRightIsToldWhileTheServerIsAwayAndNoLonger) {
  ON_REDIS();
  kiseki::test::RedisServer own(with_log());
  Mounted m(own.port()), other(own.port());
  m.format();
  m.join(1);
  other.join(2);
  ASSERT_TRUE(eventually([&] { return m.engine->coherent(); }));
  auto file = m.file(kRootIno, "f"), link = m.file(kRootIno, "l", FileType::symlink),
       theirs = other.file(kRootIno, "o");
  auto all_known = [&] {  // once it was heard that names were added
    for (const char* name : {"f", "o", "none"}) (void)m.runtime.wait(lookup(*m.client, kRootIno, name));
    return m.client->cached_entry(kRootIno, "f") && m.client->cached_entry(kRootIno, "o") &&
           m.client->cached_entry(kRootIno, "none");
  };
  ASSERT_TRUE(eventually(all_known));
  m.must(readlink(*m.client, link));

  own.kill();
  // However soon after: a request that is under way does not wait either.
  EXPECT_EQ(m.must(getattr(*m.client, file)).mode, 0644);
  EXPECT_EQ(m.must(lookup(*m.client, kRootIno, "f")).ino, file);
  EXPECT_EQ(m.must(lookup(*m.client, kRootIno, "o")).ino, theirs);
  EXPECT_EQ(m.runtime.wait(lookup(*m.client, kRootIno, "none")).error(), posix(ENOENT));
  EXPECT_EQ(m.must(readlink(*m.client, link)), "target");
  EXPECT_TRUE(m.must(read_slices(*m.client, file, ChunkIndex{0})).empty());
  EXPECT_TRUE(eventually([&] { return m.engine->away(); }));
  EXPECT_TRUE(m.client->answers_stale());
  EXPECT_TRUE(m.client->cached_attr(file));

  own.start();
  AttrChange change{.set = kMode, .to = {}};
  change.to.mode = 0600;
  other.must(setattr(*other.client, other.root, file, change));
  EXPECT_TRUE(eventually([&] { return !m.client->answers_stale(); }));
  EXPECT_EQ(m.must(getattr(*m.client, file)).mode, 0600) << "the first answer after the return is a new one";
  EXPECT_TRUE(eventually([&] { return m.engine->coherent(); }));
}

TEST(Sharing, WhatIsNotKnownWaitsForTheServer) {
  ON_REDIS();
  kiseki::test::RedisServer own(with_log());
  Mounted m(own.port());
  m.format();
  m.join(1);
  m.file(kRootIno, "f");
  own.kill();
  ASSERT_TRUE(eventually([&] { return m.engine->away(); }));
  std::error_code found;
  std::thread asking([&] { found = m.runtime.wait(lookup(*m.client, kRootIno, "unknown")).error(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  own.start();  // here: the server ends with the thread that started it
  asking.join();
  EXPECT_EQ(found, posix(ENOENT));
}

}  // namespace
}  // namespace kiseki::meta::test
