// A commit whose reply is lost is applied once and reported right, wherever the connection broke.
#include "core/async.hpp"
#include "meta/redis/engine.hpp"
#include "support/redis_proxy.hpp"
#include "support/tcp_proxy.hpp"
#include "volume.hpp"

namespace kiseki::meta::test {
namespace {

using kiseki::test::TcpProxy;

const std::string kCommit = "EVAL";

Commit count_one() {
  Commit commit;
  commit.writes.push_back(AddCounter{Counter::used_space, 1});
  commit.writes.push_back(AppendSlices{{Ino{5}, ChunkIndex{0}}, {Slice{0, SliceId{7}, 1, 0, 1}}});
  return commit;
}

std::vector<std::int64_t> twice(std::int64_t value) { return {value, value}; }

class LostReplies : public testing::TestWithParam<TcpProxy::Loss> {};

TEST_P(LostReplies, ACommitIsAppliedOnce) {
  // SEMANTICS: a change whose answer was lost with the connection is neither made twice nor reported wrong
  ON_REDIS();
  TcpProxy proxy(server().port());
  Mounted m(proxy.port());
  EXPECT_EQ(m.must(m.engine->commit(count_one())).returned, twice(1));
  for (int i = 2; i < 6; ++i) {
    proxy.lose_next(kCommit, GetParam());
    EXPECT_EQ(m.must(m.engine->commit(count_one())).returned, twice(i));
    proxy.release();
    EXPECT_EQ(m.get(CounterKey{Counter::used_space}), Record(std::int64_t{i}));
  }
  EXPECT_TRUE(proxy.lost());
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // what is late has come by now
  EXPECT_EQ(m.get(CounterKey{Counter::used_space}), Record(std::int64_t{5}));
  EXPECT_EQ(std::get<Slices>(m.get(ChunkKey{Ino{5}, ChunkIndex{0}})).size(), 5u);
}

TEST_P(LostReplies, ACreateIsNotToldThatItExists) {
  ON_REDIS();
  TcpProxy proxy(server().port());
  Mounted m(proxy.port());
  m.format();
  m.join();
  m.file(kRootIno, "first");
  for (int i = 0; i < 4; ++i) {
    proxy.lose_next(kCommit, GetParam());
    m.file(kRootIno, "f" + std::to_string(i));
    proxy.release();
    auto again = m.runtime.wait(make(*m.client, m.root, kRootIno, "f" + std::to_string(i), {}));
    EXPECT_EQ(again.error(), posix(EEXIST));
  }
  EXPECT_EQ(m.must(usage(*m.client)).used_inodes, 5u);
}

TEST_P(LostReplies, AnUnlinkIsNotToldThatNothingWasThere) {
  ON_REDIS();
  TcpProxy proxy(server().port());
  Mounted m(proxy.port());
  m.format();
  m.join();
  m.file(kRootIno, "f");
  proxy.lose_next(kCommit, GetParam());
  m.must(unlink(*m.client, m.root, kRootIno, "f", false));
  EXPECT_EQ(m.must(usage(*m.client)).used_inodes, 0u);
}

INSTANTIATE_TEST_SUITE_P(Everywhere, LostReplies,
                         testing::Values(TcpProxy::Loss::reply, TcpProxy::Loss::request, TcpProxy::Loss::late),
                         [](const auto& info) {
                           return std::string(info.param == TcpProxy::Loss::reply     ? "Reply"
                                              : info.param == TcpProxy::Loss::request ? "Request"
                                                                                      : "Late");
                         });

// A network that swallows this connection alone closes nothing: the commit must not wait for the 30 s of read-timeout.
TEST(SilentConnections, ACommitIsAppliedOnceAndSoon) {
  ON_REDIS();
  kiseki::test::RedisProxy proxy(server().port());
  Mounted m(proxy.port());
  EXPECT_EQ(m.must(m.engine->commit(count_one())).returned, twice(1));
  auto begin = std::chrono::steady_clock::now();
  int applied = 1;
  for (auto from : {kiseki::test::RedisProxy::Cut::request, kiseki::test::RedisProxy::Cut::reply}) {
    proxy.swallow(from, "EVALSHA");
    EXPECT_EQ(m.must(m.engine->commit(count_one())).returned, twice(++applied));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(25)) << "two, and no deadline among them";
  EXPECT_EQ(m.get(CounterKey{Counter::used_space}), Record(std::int64_t{3}));
  EXPECT_EQ(std::get<Slices>(m.get(ChunkKey{Ino{5}, ChunkIndex{0}})).size(), 3u);
}

TEST(Receipts, ARefusalIsFinalOnceACommitWasSentAgain) {
  ON_REDIS();
  TcpProxy proxy(server().port());
  Mounted m(proxy.port());
  m.put({PutCounter{Counter::used_space, 3}});
  Commit commit;
  commit.checks.push_back(Unchanged{CounterKey{Counter::used_space}, std::int64_t{5}});
  commit.writes.push_back(PutCounter{Counter::total_inodes, 1});
  proxy.lose_next(kCommit, TcpProxy::Loss::late);
  EXPECT_FALSE(m.must(m.engine->commit(std::move(commit))).applied);
  server().command("SET usedSpace 5");
  proxy.release();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));  // what is late has come by now
  EXPECT_EQ(m.get(CounterKey{Counter::total_inodes}), Record());
}

std::string lifetime() {
  return kiseki::test::say(server().port(),
                           "EVAL \"return redis.call('TTL', redis.call('KEYS', 'Kiseki:*')[1])\" 0\r\n");
}

TEST(Receipts, OfARefusalDieByThemselvesToo) {
  ON_REDIS();
  TcpProxy proxy(server().port());
  Mounted m(proxy.port());
  server().command("SET usedSpace 3");
  Commit commit;
  commit.checks.push_back(Unchanged{CounterKey{Counter::used_space}, std::int64_t{5}});
  commit.writes.push_back(PutCounter{Counter::total_inodes, 1});
  proxy.lose_next(kCommit, TcpProxy::Loss::reply);
  EXPECT_FALSE(m.must(m.engine->commit(std::move(commit))).applied);
  EXPECT_TRUE(proxy.lost());
  auto lasts = lifetime();
  EXPECT_TRUE(lasts == ":3600\r\n" || lasts == ":3599\r\n") << lasts;
}

TEST(Receipts, AreTakenAwayAtTheEndAndDieByThemselves) {
  ON_REDIS();
  {
    Mounted m(server().port());
    m.put({AddCounter{Counter::used_space, 1}});
    EXPECT_EQ(server().command("EXISTS usedSpace"), ":1\r\n");
    auto lasts = lifetime();
    EXPECT_TRUE(lasts == ":3600\r\n" || lasts == ":3599\r\n") << lasts;
  }
  EXPECT_EQ(server().command("DBSIZE"), ":1\r\n");
}

std::unique_ptr<kiseki::test::RedisServer> a_replica() {
  server().command("CONFIG SET repl-diskless-sync-delay 0");
  kiseki::test::RedisServer::Options options;
  options.config = {"replicaof 127.0.0.1 " + std::to_string(server().port()), "repl-diskless-sync-delay 0"};
  auto replica = std::make_unique<kiseki::test::RedisServer>(std::move(options));
  for (int i = 0; i < 2000; ++i) {
    if (server().command("WAIT 1 10") == ":1\r\n") return replica;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  throw std::runtime_error("the replica does not follow");
}

TEST(Replicas, ReadsDoNotWaitForThem) {
  // SEMANTICS: without a replica changes then wait
  // SEMANTICS: reads do not
  ON_REDIS();
  Mounted m(server().port(), "?wait-replicas=1&wait-timeout=10s");
  std::atomic<bool> committed{false};
  std::thread change([&] {
    EXPECT_EQ(m.must(m.engine->commit(count_one())).returned, twice(1));
    committed = true;
  });
  auto begin = std::chrono::steady_clock::now();
  while (m.get(CounterKey{Counter::used_space}) == Record()) std::this_thread::yield();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(m.get(CounterKey{Counter::used_space}), Record(std::int64_t{1}));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(8)) << "the WAIT lasts longer";
  EXPECT_FALSE(committed);
  auto replica = a_replica();
  change.join();
  EXPECT_EQ(m.get(CounterKey{Counter::used_space}), Record(std::int64_t{1}));
}

TEST(Replicas, CommitsShareTheirWait) {
  ON_REDIS();
  auto replica = a_replica();
  Mounted m(server().port(), "?wait-replicas=1");
  server().command("CONFIG RESETSTAT");
  auto many = [&]() -> Async<void> {
    std::vector<Async<void>> ops;
    auto one = [&]() -> Async<void> {
      CO_CHECK(co_await m.engine->commit(count_one()));
      co_return Result<void>{};
    };
    for (int i = 0; i < 200; ++i) ops.push_back(one());
    co_return co_await fan_out(std::move(ops), 200);
  };
  m.must(many());
  EXPECT_EQ(m.get(CounterKey{Counter::used_space}), Record(std::int64_t{200}));
  auto stats = kiseki::test::say(server().port(), "INFO commandstats\r\n", 1 << 20, std::chrono::milliseconds(300));
  constexpr std::string_view kCalls = "cmdstat_wait:calls=";
  auto at = stats.find(kCalls);
  ASSERT_NE(at, std::string::npos) << stats;
  auto waits = std::stol(stats.substr(at + kCalls.size()));
  EXPECT_GE(waits, 1);
  EXPECT_LT(waits, 100);
}

// Between a commit and its WAIT another server may have become the master, one without the commit.
TEST(Replicas, ACommitThatTheServerLacksIsMadeAgain) {
  ON_REDIS();
  auto replica = a_replica();
  kiseki::test::RedisProxy proxy(server().port());
  Mounted m(proxy.port(), "?wait-replicas=1");
  m.must(m.engine->commit(count_one()));
  proxy.hold("WAIT", std::chrono::hours(1));
  std::thread change([&] { EXPECT_EQ(m.must(m.engine->commit(count_one())).returned, twice(1)); });
  for (int i = 0; i < 2000 && proxy.held() == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(m.get(CounterKey{Counter::used_space}), Record(std::int64_t{2}));
  server().command("FLUSHALL");
  proxy.release();
  change.join();
  EXPECT_EQ(m.get(CounterKey{Counter::used_space}), Record(std::int64_t{1}));
}

}  // namespace
}  // namespace kiseki::meta::test
