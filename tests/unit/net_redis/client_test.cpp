// The client against a real redis-server that each test starts.
#include "net/redis/client.hpp"

#include <gtest/gtest.h>

#include "connected.hpp"
#include "core/async.hpp"
#include "support/redis_server.hpp"
#include "support/run.hpp"

namespace kiseki::net::redis {
namespace {

TEST(RedisClient, RunsBatchesInOrder) {
  test::RedisServer server;
  Connected client(server.url(2));
  Commands commands;
  commands.emplace_back("SET", "k", std::string("a\0b", 3));
  commands.emplace_back("GET", "k");
  commands.emplace_back("INCRBY", "n", 41);
  commands.emplace_back("LPUSH", "k", "x");
  commands.emplace_back("GET", "none");
  auto replies = client.run(std::move(commands));
  ASSERT_TRUE(replies) << replies.error().message();
  EXPECT_EQ((*replies)[0].text, "OK");
  EXPECT_EQ((*replies)[1].text, std::string("a\0b", 3));
  EXPECT_EQ((*replies)[2].integer, 41);
  EXPECT_EQ((*replies)[3].error_prefix(), "WRONGTYPE");
  EXPECT_TRUE((*replies)[4].is_nil());
  EXPECT_NE(server.command("INFO keyspace").find("$"), std::string::npos);
}

TEST(RedisClient, WorksFromLoopsThatAreNotItsOwn) {
  test::RedisServer server;
  Connected client(server.url());
  test::run([&]() -> asio::awaitable<void> {
    auto reply = co_await client->run_one(Command("PING"));
    CO_ASSERT_OK(reply);
    EXPECT_EQ(reply->text, "PONG");
  });
}

TEST(RedisClient, RunsAScriptTheServerDoesNotKnowYet) {
  test::RedisServer server;
  Connected client(server.url());
  Script script("redis.call('SET', KEYS[1], ARGV[1]) return {1, ARGV[2], false}");
  for (int round = 0; round < 2; ++round) {
    auto reply = client.runtime().wait(client->eval(script, {"k"}, {"v", std::string("\0\xff", 2)}));
    ASSERT_TRUE(reply) << reply.error().message();
    ASSERT_TRUE(reply->is_array()) << reply->text;
    EXPECT_EQ(reply->elements[1].text, std::string("\0\xff", 2));
    EXPECT_TRUE(reply->elements[2].is_nil());
    EXPECT_EQ(client.one(Command("GET", "k"))->text, "v");
    EXPECT_TRUE(client.one(Command("SCRIPT", "FLUSH")));
  }
}

TEST(RedisClient, ManyCoroutinesShareAConnectionPerLoop) {
  test::RedisServer server;
  Connected client(server.url());
  auto worker = [](Client& c, int id) -> Async<void> {
    for (int i = 0; i < 200; ++i) {
      auto value = std::to_string(id * 1000 + i);
      Commands commands;
      commands.emplace_back("SET", "k" + value, value);
      commands.emplace_back("GET", "k" + value);
      CO_TRY(auto replies, co_await c.run(std::move(commands)));
      if (replies[1].text != value) co_return posix(EBADMSG);
    }
    co_return Result<void>{};
  };
  auto all = [&worker](Client& c) -> Async<void> {
    std::vector<Async<void>> ops;
    for (int id = 0; id < 64; ++id) ops.push_back(worker(c, id));
    co_return co_await fan_out(std::move(ops), 64);
  };
  auto done = client.runtime().wait(all(*client));
  EXPECT_TRUE(done) << done.error().message();
  EXPECT_EQ(client.one(Command("DBSIZE"))->integer, 64 * 200);
}

TEST(RedisClient, AServerThatIsAwayIsWaitedForUntilTheDeadline) {
  test::RedisServer server;
  Connected client(server.url(), {.deadline = std::chrono::milliseconds(300)});
  ASSERT_TRUE(client.one(Command("PING")));
  server.kill();
  auto reply = client.one(Command("SET", "k", "v"));
  for (int i = 0; i < 10 && !reply && reply.error() == Errc::reply_lost; ++i)
    reply = client.one(Command("SET", "k", "v"));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error(), Errc::unavailable);
  EXPECT_TRUE(certainly_not_executed(reply.error()));
  server.start();
  EXPECT_TRUE(soon([&] { return client.one(Command("PING")).has_value(); }));
}

TEST(RedisClient, ARequestOutlivesARestart) {
  test::RedisServer server;
  Connected client(server.url());
  ASSERT_TRUE(client.one(Command("PING")));
  server.kill();
  std::thread asks([&] {
    auto reply = client.one(Command("GET", "k"), Resend::when_lost);
    EXPECT_TRUE(reply) << reply.error().message();
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  server.start();
  asks.join();
}

TEST(RedisClient, HearsWhatOthersChange) {
  test::RedisServer server;
  Heard heard;
  Connected client(server.url());
  client->listen(&heard);
  ASSERT_TRUE(client.one(Command("SET", "k", "1")));
  ASSERT_TRUE(soon([&] { return client->tracking(); }));
  ASSERT_TRUE(client.one(Command("GET", "k")));
  server.command("SET k 2");
  EXPECT_TRUE(soon([&] { return heard.has("k"); }));
  // What the connection itself changes it does not hear, but then it hears nothing of that key until it reads again.
  heard.clear();
  Script script("redis.call('SET', KEYS[1], 'x') return redis.call('GET', KEYS[1])");
  ASSERT_TRUE(client.runtime().wait(client->eval(script, {"k"}, {})));
  ASSERT_TRUE(client.one(Command("PING")));
  EXPECT_FALSE(heard.has("k"));
  server.command("SET k 3");
  EXPECT_TRUE(soon([&] { return heard.has("k"); }));
}

TEST(RedisClient, LosingAConnectionForgetsEverything) {
  test::RedisServer server;
  Heard heard;
  Connected client(server.url());
  client->listen(&heard);
  ASSERT_TRUE(client.one(Command("GET", "k")));
  ASSERT_TRUE(soon([&] { return client->tracking(); }));
  for (auto kind : {"pubsub", "normal"}) {
    auto before = heard.forgotten();
    server.command(std::string("CLIENT KILL TYPE ") + kind);
    EXPECT_TRUE(soon([&] { return heard.forgotten() > before; })) << kind;
    EXPECT_TRUE(soon([&] { return client->tracking(); })) << kind;
    heard.clear();
    ASSERT_TRUE(soon([&] { return client.one(Command("GET", "k"), Resend::when_lost).has_value(); }));
    server.command("SET k 2");
    EXPECT_TRUE(soon([&] { return heard.has("k"); })) << kind;
  }
}

}  // namespace
}  // namespace kiseki::net::redis
