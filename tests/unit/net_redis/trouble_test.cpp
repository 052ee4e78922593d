// The client behind a network that cuts, delays, stalls and loses.
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "connected.hpp"
#include "core/async.hpp"
#include "support/redis_proxy.hpp"
#include "support/redis_server.hpp"

namespace kiseki::net::redis {
namespace {

using std::chrono::milliseconds;
using test::RedisProxy;

struct Scene {
  test::RedisServer server;
  RedisProxy proxy{server.port()};
};

TEST(RedisTrouble, ABatchIsOneRoundTrip) {
  Scene scene;
  Connected client(scene.proxy.url(), {.tracking = false});
  ASSERT_TRUE(client.one(Command("PING")));
  auto before = scene.proxy.round_trips();
  Commands commands;
  for (int i = 0; i < 1000; ++i) commands.emplace_back("SET", "k" + std::to_string(i), "v");
  ASSERT_TRUE(client.run(std::move(commands)));
  EXPECT_EQ(scene.proxy.round_trips() - before, 1u);
}

TEST(RedisTrouble, RequestsOfOneTurnShareARoundTrip) {
  Scene scene;
  scene.proxy.delay(milliseconds(20));
  Connected client(scene.proxy.url(), {.tracking = false});
  ASSERT_TRUE(client.one(Command("PING")));
  auto before = scene.proxy.round_trips();
  auto all = [](Client& c) -> Async<void> {
    std::vector<Async<void>> ops;
    auto one = [](Client& to) -> Async<void> {
      CO_CHECK(co_await to.run_one(Command("INCR", "n")));
      co_return Result<void>{};
    };
    for (int i = 0; i < 64; ++i) ops.push_back(one(c));
    co_return co_await fan_out(std::move(ops), 64);
  };
  ASSERT_TRUE(client.runtime().wait(all(*client)));
  EXPECT_LE(scene.proxy.round_trips() - before, 2u);
}

TEST(RedisTrouble, ALostReplyIsToldFromALostRequest) {
  Scene scene;
  Connected client(scene.proxy.url());
  ASSERT_TRUE(client.one(Command("SET", "n", 0)));
  scene.proxy.cut(RedisProxy::Cut::reply, "INCR");
  auto executed = client.one(Command("INCR", "n"));
  ASSERT_FALSE(executed);
  EXPECT_EQ(executed.error(), Errc::reply_lost);
  EXPECT_FALSE(certainly_not_executed(executed.error()));
  EXPECT_EQ(client.one(Command("GET", "n"))->text, "1");
  // To us a cut before the request arrived looks the same; only what never left is sent again by itself.
  scene.proxy.cut(RedisProxy::Cut::request, "INCR");
  EXPECT_EQ(client.one(Command("INCR", "n")).error(), Errc::reply_lost);
  EXPECT_EQ(client.one(Command("GET", "n"))->text, "1");
  scene.proxy.cut(RedisProxy::Cut::reply, "GET", 3);
  auto read = client.one(Command("GET", "n"), Resend::when_lost);
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->text, "1");
  EXPECT_EQ(scene.proxy.cuts(), 5);
}

TEST(RedisTrouble, ResetsUnderLoadLoseNoRequestAndNoReplyTwice) {
  Scene scene;
  Connected client(scene.proxy.url());
  ASSERT_TRUE(client.one(Command("SET", "n", 0)));
  std::atomic<int> acknowledged{0}, unsure{0};
  auto worker = [&](Client& c) -> Async<void> {
    for (int i = 0; i < 200; ++i) {
      auto reply = co_await c.run_one(Command("INCR", "n"));
      if (reply) {
        ++acknowledged;
      } else if (!certainly_not_executed(reply.error())) {
        ++unsure;
      }
    }
    co_return Result<void>{};
  };
  auto all = [&](Client& c) -> Async<void> {
    std::vector<Async<void>> ops;
    for (int i = 0; i < 32; ++i) ops.push_back(worker(c));
    co_return co_await fan_out(std::move(ops), 32);
  };
  std::atomic<bool> over{false};
  std::thread trouble([&] {
    while (!over) {
      std::this_thread::sleep_for(milliseconds(15));
      scene.proxy.reset_all();
    }
  });
  EXPECT_TRUE(client.runtime().wait(all(*client)));
  over = true;
  trouble.join();
  auto counted = std::stoi(client.one(Command("GET", "n"), Resend::when_lost)->text);
  EXPECT_GE(counted, acknowledged);
  EXPECT_LE(counted, acknowledged + unsure);
  EXPECT_GT(acknowledged, 0);
}

TEST(RedisTrouble, AStallIsWaitedFor) {
  Scene scene;
  Connected client(scene.proxy.url());
  ASSERT_TRUE(client.one(Command("PING")));
  scene.proxy.stall(milliseconds(700));
  auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(client.one(Command("SET", "k", "v")));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(600));
}

TEST(RedisTrouble, APartitionEndsAtTheDeadlineAndHeals) {
  Scene scene;
  Connected client(scene.proxy.url() + "?read-timeout=600ms&dial_timeout=300ms", {.deadline = milliseconds(1000)});
  ASSERT_TRUE(client.one(Command("PING")));
  scene.proxy.partition(true);
  auto reply = client.one(Command("SET", "k", "v"));
  ASSERT_FALSE(reply);
  EXPECT_FALSE(certainly_not_executed(reply.error())) << reply.error().message();
  auto next = client.one(Command("SET", "k", "v"));
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error(), Errc::unavailable);
  scene.proxy.partition(false);
  scene.proxy.reset_all();
  EXPECT_TRUE(soon([&] { return client.one(Command("SET", "k", "v")).has_value(); }));
  EXPECT_TRUE(soon([&] { return client->tracking(); }, milliseconds(8000)));
}

TEST(RedisTrouble, ALateWordOnTrackingIsNoReplyToARequest) {
  Scene scene;
  scene.server.command("SET k v");
  Connected client(scene.proxy.url() + "?dial_timeout=200ms");
  ASSERT_TRUE(soon([&] { return client->tracking(); }));
  scene.proxy.hold("TRACKING", milliseconds(500));
  auto reply = client.one(Command("GET", "k"));
  ASSERT_TRUE(reply) << reply.error().message();
  EXPECT_EQ(reply->text, "v");
  std::this_thread::sleep_for(milliseconds(500));
  EXPECT_EQ(client.one(Command("GET", "k"))->text, "v");
}

TEST(RedisTrouble, ALaneThatCouldNotBeTrackedIsAskedAgain) {
  Scene scene;
  Connected client(scene.proxy.url() + "?dial_timeout=200ms");
  ASSERT_TRUE(client.one(Command("PING")));
  ASSERT_TRUE(soon([&] { return client->tracking(); }));
  scene.proxy.hold("TRACKING", milliseconds(600));
  scene.server.command("CLIENT KILL TYPE pubsub");
  EXPECT_TRUE(soon([&] { return !client->tracking(); }));
  EXPECT_TRUE(soon([&] { return client->tracking(); }));
  EXPECT_EQ(client.one(Command("ECHO", "x"))->text, "x");
}

// Requests are answered: nobody who would rather have an old answer than wait for one shall get it.
TEST(RedisTrouble, ATrackingConnectionThatCannotBeMadeIsNoServerThatIsAway) {
  Scene scene;
  Connected client(scene.proxy.url());
  ASSERT_TRUE(client.one(Command("PING")));
  ASSERT_TRUE(soon([&] { return client->tracking(); }));
  scene.proxy.cut(RedisProxy::Cut::request, "SUBSCRIBE", 1'000'000);
  scene.server.command("CLIENT KILL TYPE pubsub");
  ASSERT_TRUE(soon([&] { return scene.proxy.cuts() > 1; })) << "one try has failed, and another";
  EXPECT_FALSE(client->tracking());
  EXPECT_FALSE(client->away());
  EXPECT_TRUE(client.one(Command("GET", "k"), Resend::while_reachable));
  scene.proxy.cut(RedisProxy::Cut::request, "SUBSCRIBE", 0);
  EXPECT_TRUE(soon([&] { return client->tracking(); }));
}

TEST(RedisTrouble, AServerThatDropsEveryConnectionIsAskedInPauses) {
  Scene scene;
  Connected client(scene.proxy.url(), {.tracking = false});
  ASSERT_TRUE(client.one(Command("PING")));
  auto before = scene.proxy.connections();
  scene.proxy.cut(RedisProxy::Cut::request, "GET", 1'000'000);
  std::thread asks([&] { EXPECT_TRUE(client.one(Command("GET", "k"), Resend::when_lost)); });
  std::this_thread::sleep_for(milliseconds(1000));
  auto tries = scene.proxy.connections() - before;
  scene.proxy.cut(RedisProxy::Cut::request, "GET", 0);
  asks.join();
  EXPECT_GE(tries, 2u);
  EXPECT_LE(tries, 20u);
}

TEST(RedisTrouble, AWriteThatSticksEndsItsConnection) {
  test::RedisServer server;
  Connected client(server.url() + "?write-timeout=300ms", {.tracking = false});
  ASSERT_TRUE(client.one(Command("PING")));
  server.stall();
  auto begin = std::chrono::steady_clock::now();
  auto reply = client.one(Command("SET", "k", std::string(64 << 20, 'x')));
  EXPECT_EQ(reply.error(), Errc::reply_lost);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(20'000)) << "far below the read-timeout";
  server.resume();
}

TEST(RedisTrouble, AStoppedServerIsNotTakenForARunningOne) {
  Scene scene;
  Connected client(scene.proxy.url(), {.deadline = milliseconds(600)});
  ASSERT_TRUE(client.one(Command("PING")));
  scene.server.stall();
  scene.proxy.reset_all();
  EXPECT_TRUE(soon([&] { return client.one(Command("SET", "k", "v")).error() == Errc::unavailable; }));
  scene.server.resume();
  EXPECT_TRUE(soon([&] { return client.one(Command("SET", "k", "v")).has_value(); }));
}

TEST(RedisTrouble, ASilentServerHoldsUpNobodyWhoCanDoWithout) {
  test::RedisServer server;
  Connected client(server.url());
  ASSERT_TRUE(client.one(Command("PING")));
  ASSERT_TRUE(soon([&] { return client->tracking(); }));
  testing::internal::CaptureStderr();
  server.stall();
  auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(client.one(Command("GET", "k"), Resend::while_reachable).error(), Errc::unavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(20'000)) << "far below the deadline";
  EXPECT_TRUE(client->away());
  server.resume();
  EXPECT_TRUE(soon([&] { return !client->away() && client->tracking(); }, milliseconds(15'000)));
  EXPECT_TRUE(client.one(Command("GET", "k"), Resend::while_reachable));
  auto log = testing::internal::GetCapturedStderr();
  for (auto event : {"redis.away", "redis.back"}) {
    auto first = log.find(event);
    EXPECT_NE(first, std::string::npos) << log;
    EXPECT_EQ(log.find(event, first + 1), std::string::npos) << log;
  }
}

class ADeadConnection : public testing::TestWithParam<bool> {};

TEST_P(ADeadConnection, IsLeftWhenTheServerAnswersOthers) {
  // SEMANTICS: a connection that has died alone, while the server answers others, is left after about three
  Scene scene;
  Connected client(scene.proxy.url(), {.tracking = GetParam()});
  ASSERT_TRUE(client.one(Command("SET", "n", 7)));
  ASSERT_TRUE(soon([&] { return client->tracking() == GetParam(); }));
  scene.proxy.swallow(RedisProxy::Cut::request, "GET");
  auto read = [](Client& c) -> Async<void> {
    CO_TRY(auto reply, co_await c.run_one(Command("GET", "n"), Resend::when_lost));
    EXPECT_EQ(reply.text, "7");
    co_return Result<void>{};
  };
  auto change = [](Client& c) -> Async<void> {  // behind the read, on the same connection
    auto reply = co_await c.run_one(Command("INCR", "n"));
    EXPECT_EQ(reply.error(), Errc::reply_lost);
    co_return Result<void>{};
  };
  std::vector<Async<void>> both;
  both.push_back(read(*client));
  both.push_back(change(*client));
  auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(client.runtime().wait(fan_out(std::move(both), 2)));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(20'000)) << "far below the read-timeout";
  EXPECT_FALSE(client->away());
  EXPECT_TRUE(soon([&] { return client->tracking() == GetParam(); }));
  EXPECT_EQ(client.one(Command("GET", "n"))->text, "7") << "what vanished was not executed";
}

INSTANTIATE_TEST_SUITE_P(RedisTrouble, ADeadConnection, testing::Bool(),
                         [](const auto& info) { return std::string(info.param ? "Tracked" : "Untracked"); });

TEST(RedisTrouble, AServerGoneSilentIsAwayWithoutATrackerToo) {
  test::RedisServer server;
  Connected client(server.url() + "?dial_timeout=500ms", {.tracking = false});
  ASSERT_TRUE(client.one(Command("PING")));
  server.stall();
  EXPECT_EQ(client.one(Command("GET", "k"), Resend::while_reachable).error(), Errc::unavailable);
  EXPECT_TRUE(client->away());
  server.resume();
  EXPECT_TRUE(soon([&] { return !client->away(); }));
}

const std::string kSpin =
    "local function ms() local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 end "
    "local stop = ms() + 4000 while ms() < stop do end return 1";

TEST(RedisTrouble, WhoIsOnlySlowKeepsItsConnection) {
  struct Case {
    std::string config, options;
    std::function<Result<Reply>(test::RedisServer&, Connected&)> slow;
  };
  auto stopped = [](test::RedisServer& server, Connected& client) {
    std::thread wakes([&] { std::this_thread::sleep_for(milliseconds(4000)), server.resume(); });
    server.stall();
    auto reply = client.one(Command("GET", "k"), Resend::when_lost);
    wakes.join();
    return reply;
  };
  auto spins = [](test::RedisServer&, Connected& client) { return client.one(Command("EVAL", kSpin, 0)); };
  auto paused = [](test::RedisServer& server, Connected& client) {
    server.command("CLIENT PAUSE 4000 WRITE");
    return client.one(Command("EVAL", "return redis.call('SET', KEYS[1], 1)", 1, "k"));
  };
  auto replicates = [](test::RedisServer&, Connected& client) { return client.one(Command("WAIT", 1, 4000)); };
  const std::vector<Case> cases = {{"", "", stopped},
                                   {"lua-time-limit 60000", "", spins},
                                   {"lua-time-limit 50", "", spins},  // others are told -BUSY
                                   {"", "", paused},
                                   {"", "?wait-replicas=1&wait-timeout=4s", replicates}};
  std::deque<test::RedisServer> servers;
  std::deque<Connected> clients;
  std::vector<std::thread> all;
  for (const auto& one : cases) {
    auto& server = servers.emplace_back(test::RedisServer::Options{.config = {one.config}});
    auto& client = clients.emplace_back(server.url() + one.options);
    ASSERT_TRUE(soon([&] { return client->tracking(); }));
  }
  for (std::size_t i = 0; i < cases.size(); ++i) {
    all.emplace_back([&, i] {
      auto before = clients[i].one(Command("CLIENT", "ID"));
      auto begin = std::chrono::steady_clock::now();
      auto reply = cases[i].slow(servers[i], clients[i]);
      EXPECT_TRUE(reply) << reply.error().message();
      EXPECT_GT(std::chrono::steady_clock::now() - begin, milliseconds(3500)) << "nothing was slow in case " << i;
      EXPECT_EQ(clients[i].one(Command("CLIENT", "ID"))->integer, before->integer) << "case " << i;
    });
  }
  for (auto& one : all) one.join();
}

// What waits for a server that has stopped reading is bounded; what goes beyond was certainly not executed.
TEST(RedisTrouble, ManyRequestsWaitAndTooManyAreTurnedAway) {
  test::RedisServer server;
  Connected client(server.url());
  ASSERT_TRUE(client.one(Command("SET", "n", 0)));
  server.stall();
  std::atomic<int> done{0}, turned_away{0}, others{0};
  auto one = [&](Client& c) -> Async<void> {
    auto reply = co_await c.run_one(Command("INCR", "n"));
    if (reply)
      ++done;
    else
      ++(reply.error() == Errc::overloaded ? turned_away : others);
    co_return Result<void>{};
  };
  auto all = [&](Client& c, int count) -> Async<void> {
    std::vector<Async<void>> ops;
    for (int i = 0; i < count; ++i) ops.push_back(one(c));
    co_return co_await fan_out(std::move(ops), static_cast<std::size_t>(count));
  };
  constexpr int kMany = 90'000;  // 65,536 in the queue, 16,384 on their way
  std::thread asks([&] { EXPECT_TRUE(client.runtime().wait(all(*client, kMany))); });
  EXPECT_TRUE(soon([&] { return turned_away >= kMany - (1 << 16) - (1 << 14); }, milliseconds(20'000)));
  EXPECT_EQ(done, 0);
  server.resume();
  asks.join();
  EXPECT_EQ(others, 0);
  EXPECT_EQ(done + turned_away, kMany);
  EXPECT_EQ(client.one(Command("GET", "n"))->text, std::to_string(done));
}

TEST(RedisTrouble, LossSlowsButBreaksNothing) {
  Scene scene;
  Connected client(scene.proxy.url());
  scene.proxy.loss(0.3, milliseconds(20));
  for (int i = 1; i <= 50; ++i) {
    auto reply = client.one(Command("INCR", "n"));
    ASSERT_TRUE(reply) << reply.error().message();
    ASSERT_EQ(reply->integer, i);
  }
}

TEST(RedisTrouble, RefusalsAreWaitedOutAndTheLogSaysSoOnce) {
  test::RedisServer server;
  Connected client(server.url());
  ASSERT_TRUE(client.one(Command("PING")));
  testing::internal::CaptureStderr();
  auto master = test::free_port();
  server.command("REPLICAOF 127.0.0.1 " + std::to_string(master));  // writes are refused: -READONLY
  std::thread writes([&] {
    auto reply = client.one(Command("SET", "k", "v"));
    EXPECT_TRUE(reply && !reply->is_error()) << (reply ? reply->text : reply.error().message());
  });
  std::this_thread::sleep_for(milliseconds(700));
  server.command("REPLICAOF NO ONE");
  writes.join();
  auto log = testing::internal::GetCapturedStderr();
  auto first = log.find("redis.refuses");
  EXPECT_NE(first, std::string::npos) << log;
  EXPECT_EQ(log.find("redis.refuses", first + 1), std::string::npos) << log;
  EXPECT_NE(log.find("redis.accepts"), std::string::npos) << log;
}

TEST(RedisTrouble, AFullServerIsNoRetry) {
  test::RedisServer server;
  Connected client(server.url());
  server.command("CONFIG SET maxmemory 1mb");
  auto reply = client.one(Command("SET", "k", std::string(1000, 'x')));
  ASSERT_TRUE(reply);
  EXPECT_EQ(meaning_of(*reply), Errc::full) << reply->text;
  Script writes("redis.call('SET', KEYS[1], 'x') return 1");
  auto script = client.runtime().wait(client->eval(writes, {"k"}, {}));
  ASSERT_TRUE(script);
  EXPECT_EQ(meaning_of(*script), Errc::full) << script->text;
}

TEST(RedisTrouble, AKilledScriptIsRunAgain) {
  test::RedisServer::Options options;
  options.config = {"lua-time-limit 50"};
  test::RedisServer server(options);
  Connected client(server.url());
  Script spins("if redis.call('GET', KEYS[1]) == 'stop' then return 'done' end while true do end");
  std::thread kills([&] {
    // Between being killed and running again the script lets others in.
    EXPECT_TRUE(soon([&] { return server.command("SCRIPT KILL").starts_with("+OK"); }));
    EXPECT_TRUE(soon([&] {
      if (server.command("SET k stop").starts_with("+OK")) return true;
      server.command("SCRIPT KILL");
      return false;
    }));
  });
  auto reply = client.runtime().wait(client->eval(spins, {"k"}, {}));
  kills.join();
  ASSERT_TRUE(reply) << reply.error().message();
  EXPECT_EQ(reply->text, "done");
}

}  // namespace
}  // namespace kiseki::net::redis
