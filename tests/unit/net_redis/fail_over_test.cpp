// One connection while the Sentinels make another server the master.
#include <gtest/gtest.h>

#include <optional>

#include "core/async.hpp"
#include "net/redis/errc.hpp"
#include "net/redis/lane.hpp"
#include "net/redis/master_watch.hpp"
#include "support/redis_proxy.hpp"
#include "support/redis_server.hpp"
#include "support/redis_sets.hpp"
#include "support/run.hpp"

namespace kiseki::net::redis {
namespace {

using std::chrono::milliseconds;

class OneLane {
 public:
  OneLane(asio::any_io_executor home, const test::RedisProxy& proxy)
      : around_(*Address::parse(proxy.url()), nullptr, names_, {.tracking = false}),
        lane_(std::make_shared<Lane>(around_, 0, home)),
        tasks_(home) {
    lane_->start();
  }
  void ask(Command command) {
    reply_.reset();
    Commands commands;
    commands.push_back(std::move(command));
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    tasks_.spawn(answer(std::make_shared<Request>(std::move(commands), Resend::never, deadline)));
  }
  const std::optional<Result<Reply>>& reply() const { return reply_; }
  void announce() {  ///< as a Sentinel is heard
    EXPECT_TRUE(around_.topology.master_changes({"old", 1}, {"new", 1}));
    lane_->reconnect();
  }
  asio::awaitable<void> close() {
    co_await lane_->close();
    co_await tasks_.join();
  }

 private:
  asio::awaitable<void> answer(RequestPtr request) {
    EXPECT_TRUE(co_await detail::park(request->waiter, [this, request] { lane_->send(request); }));
    reply_ = request->error ? Result<Reply>(request->error) : Result<Reply>(request->replies.front());
  }

  BlockingPool pool_{"resolve", 1};
  NameLookup names_{pool_};
  Surroundings around_;
  std::shared_ptr<Lane> lane_;
  std::optional<Result<Reply>> reply_;
  TaskGroup tasks_;
};

/// Whether it holds within so many turns of the loop, of at least ten milliseconds each.
template <class F>
asio::awaitable<bool> within(int turns, F condition) {
  for (; turns > 0 && !condition(); --turns) co_await sleep_for(milliseconds(10));
  co_return condition();
}
constexpr int kLong = 1000;

struct Scene {
  test::RedisServer server;
  test::RedisProxy proxy{server.port()};
};

TEST(FailOver, AConnectionThatIsBeingMadeWhenItIsAnnouncedIsNotUsed) {
  Scene scene;
  test::run([&]() -> asio::awaitable<void> {
    OneLane one(co_await asio::this_coro::executor, scene.proxy);
    scene.server.stall();
    one.ask(Command("SET", "k", "v"));
    EXPECT_TRUE(co_await within(kLong, [&] { return scene.proxy.connections() > 0; }));
    one.announce();
    scene.server.resume();
    EXPECT_TRUE(co_await within(kLong, [&] { return one.reply().has_value(); }));
    EXPECT_TRUE(one.reply() && *one.reply() && (*one.reply())->text == "OK");
    EXPECT_GT(scene.proxy.connections(), 1u) << "the first may be the old master's";
    co_await one.close();
  });
}

TEST(FailOver, WhatTheOldMasterDoesNotAnswerSoonIsLost) {
  Scene scene;
  test::run([&]() -> asio::awaitable<void> {
    OneLane one(co_await asio::this_coro::executor, scene.proxy);
    one.ask(Command("SET", "k", "1"));
    EXPECT_TRUE(co_await within(kLong, [&] { return one.reply().has_value(); }));
    scene.server.stall();
    auto before = scene.proxy.round_trips();
    one.ask(Command("SET", "k", "2"));
    EXPECT_TRUE(co_await within(kLong, [&] { return scene.proxy.round_trips() > before; }));
    one.announce();
    EXPECT_TRUE(co_await within(80, [&] { return one.reply().has_value(); }))
        << "what it acknowledges later would not be the new master's";
    EXPECT_TRUE(one.reply() && one.reply()->has_error() && one.reply()->error() == Errc::reply_lost);
    scene.server.resume();
    one.ask(Command("GET", "k"));
    EXPECT_TRUE(co_await within(kLong, [&] { return one.reply().has_value(); }));
    EXPECT_TRUE(one.reply() && *one.reply());
    co_await one.close();
  });
}

/// What Sentinels announce, here by a server that says what the test wants heard.
TEST(FailOver, LastsUntilTheSentinelThatLeadsItEndsIt) {
  test::SentinelSet set;
  test::RedisServer announcer;
  BlockingPool pool{"resolve", 1};
  NameLookup names{pool};
  Topology topology(*Address::parse(set.url()), nullptr, names, false);
  std::atomic<int> changes{0};
  auto announce = [&](const std::string& event) {
    auto text = "master boss 127.0.0.1 " + std::to_string(set.first_master().port());
    return announcer.command("PUBLISH " + event + " \"" + text + "\"").starts_with(":1");
  };
  test::run([&]() -> asio::awaitable<void> {
    TaskGroup tasks(co_await asio::this_coro::executor);
    tasks.spawn(watch_master(topology, {"127.0.0.1", announcer.port()}, [&] { ++changes; }));
    EXPECT_TRUE(co_await within(kLong, [&] { return announce("+failover-state-select-slave"); }));
    EXPECT_TRUE(co_await within(kLong, [&] { return changes > 0; }));
    EXPECT_TRUE(announce("-failover-abort-not-elected"));
    co_await sleep_for(milliseconds(50));
    Replies replies;
    std::string why;
    EXPECT_FALSE(co_await topology.connect({}, replies, why));
    EXPECT_NE(why.find("another server"), std::string::npos) << why;
    EXPECT_TRUE(announce("-failover-abort-slave-timeout"));
    bool connected = false;
    for (int turn = 0; turn < kLong && !connected; ++turn) {
      co_await sleep_for(milliseconds(5));
      connected = (co_await topology.connect({}, replies, why)).has_value();
    }
    EXPECT_TRUE(connected) << why;
    co_await tasks.close();
  });
}

}  // namespace
}  // namespace kiseki::net::redis
