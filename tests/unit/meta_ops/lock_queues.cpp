// Those who wait for one lock: whose turn it is, what becomes of a turn, and what a crowd costs.
#include "meta/lock_queues.hpp"

#include <atomic>
#include <boost/asio/this_coro.hpp>
#include <memory>
#include <numeric>
#include <optional>

#include "core/async.hpp"
#include "core/runtime.hpp"
#include "meta/ops/range_locks.hpp"
#include "volume.hpp"

namespace kiseki::meta::test {

using namespace op;
using namespace std::chrono_literals;

namespace {

constexpr Ino kFile{5};
constexpr SessionId kHere{1}, kElsewhere{2};

/// A queue with nobody behind the engine's door.
struct Queues {
  Queues() : queues(observer) {}

  std::unique_ptr<LockQueues::Place> flock(std::uint64_t owner, bool exclusive = true) {
    LockWish wish{kFile, LockKind::flock, kHere, owner, whole_file(exclusive)};
    return std::make_unique<LockQueues::Place>(queues, wish);
  }
  std::unique_ptr<LockQueues::Place> record(std::uint64_t owner, RangeLock range, Ino ino = kFile) {
    LockWish wish{ino, LockKind::record, kHere, owner, range};
    return std::make_unique<LockQueues::Place>(queues, wish);
  }
  void unlocked() { queues.unlocked(kFile, LockKind::flock); }

  struct Nobody final : ChangeObserver {
    void committed(const Commit&, const Outcome&) noexcept override {}
    void changed_elsewhere(const Key&) noexcept override { ++told; }
    void entries_changed_elsewhere(Ino) noexcept override {}
    void everything_may_have_changed() noexcept override {}
    int told = 0;
  } observer;
  LockQueues queues;
};

RangeLockTable held_by(std::uint64_t owner, bool exclusive = true) { return {{kHere, owner, {whole_file(exclusive)}}}; }

Async<void> turn_of(LockQueues::Place& place) {
  CO_TRY(auto turn, co_await place.turn());
  (void)turn;
  co_return Result<void>{};
}

/// 0: it has the turn; ETIMEDOUT: it would wait. Nobody has waited long enough yet to look without news (50 ms).
asio::awaitable<int> turn_error(LockQueues::Place& place) {
  auto told = co_await with_timeout(5ms, turn_of(place));
  co_return error_of(told);
}

asio::awaitable<bool> has_turn(LockQueues::Place& place) { co_return co_await turn_error(place) == 0; }

/// Counts what is asked of the engine.
struct CountingEngine : MemoryEngine {
  CountingEngine() : MemoryEngine({.post = true}) {}
  Async<Records> fetch(Keys keys) override {
    ++requests;
    return MemoryEngine::fetch(std::move(keys));
  }
  Async<Outcome> commit(Commit commit) override {
    ++requests;
    return MemoryEngine::commit(std::move(commit));
  }
  std::atomic<int> requests{0};
};

}  // namespace

TEST(LockQueues, TheTurnGoesFromTheFirstToTheLast) {
  kiseki::test::run([]() -> asio::awaitable<void> {
    Queues q;
    auto a = q.flock(1), b = q.flock(2), c = q.flock(3);
    EXPECT_TRUE(co_await has_turn(*a));
    EXPECT_FALSE(co_await has_turn(*b));
    a->refused(held_by(9));
    EXPECT_FALSE(co_await has_turn(*a)) << "not before something happens";
    q.unlocked();
    EXPECT_TRUE(co_await has_turn(*a));
    a->granted(held_by(1));
    EXPECT_FALSE(co_await has_turn(*b)) << "what was found says that it would be in vain";
    q.unlocked();
    EXPECT_TRUE(co_await has_turn(*b));
    EXPECT_FALSE(co_await has_turn(*c));
  });
}

TEST(LockQueues, WhoLeavesPassesTheTurnOn) {
  kiseki::test::run([]() -> asio::awaitable<void> {
    Queues q;
    auto a = q.flock(1), b = q.flock(2), c = q.flock(3), d = q.flock(4);
    b.reset();
    EXPECT_TRUE(co_await has_turn(*a));
    a.reset();
    EXPECT_TRUE(co_await has_turn(*c));
    c->refused(held_by(9));
    c.reset();
    EXPECT_FALSE(co_await has_turn(*d)) << "nothing has happened";
    q.queues.changed_elsewhere(FileLocksKey{kFile});
    EXPECT_TRUE(co_await has_turn(*d));
    EXPECT_EQ(q.observer.told, 0);
  });
}

TEST(LockQueues, WhatHappensDuringATurnIsNotLost) {
  kiseki::test::run([]() -> asio::awaitable<void> {
    Queues q;
    auto a = q.flock(1), b = q.flock(2);
    q.unlocked();
    a->refused(held_by(9));
    EXPECT_TRUE(co_await has_turn(*a)) << "what it found may be old";
    a->refused(held_by(9));
    EXPECT_FALSE(co_await has_turn(*a));
    q.queues.changed_elsewhere(FileLocksKey{kFile});
    q.queues.changed_elsewhere(FileLocksKey{kFile});
    a->granted(held_by(1));
    EXPECT_TRUE(co_await has_turn(*b));
  });
}

TEST(LockQueues, NobodyWaitsForAnEngineThatIsAwayMoreThanTwice) {
  kiseki::test::run([]() -> asio::awaitable<void> {
    Queues q;
    auto a = q.flock(1), b = q.flock(2), c = q.flock(3);
    EXPECT_TRUE(co_await has_turn(*a));
    a->unanswered(posix(EIO));
    a.reset();
    EXPECT_TRUE(co_await has_turn(*b)) << "it came after the first had asked";
    auto d = q.flock(4);
    b->unanswered(posix(EIO));
    EXPECT_EQ(co_await turn_error(*c), EIO);
    b.reset();
    c.reset();
    EXPECT_TRUE(co_await has_turn(*d));
  });
}

TEST(LockQueues, WhatCanBeSharedIsSharedByAllWhoWait) {
  // SEMANTICS: who could share a lock with its holders does not wait for those who wait to have it alone
  kiseki::test::run([]() -> asio::awaitable<void> {
    Queues q;
    auto first = q.flock(1, false), alone = q.flock(2), second = q.flock(3, false);
    EXPECT_TRUE(co_await has_turn(*first));
    auto shared = held_by(1, false);
    first->granted(shared);
    EXPECT_TRUE(co_await has_turn(*second));
    EXPECT_FALSE(co_await has_turn(*alone));
    replace(shared, {kHere, 3, {whole_file(false)}});
    second->granted(shared);
    EXPECT_FALSE(co_await has_turn(*alone));
    auto newcomer = q.flock(4, false);
    EXPECT_TRUE(co_await has_turn(*alone)) << "the first looks for all";
    alone->refused(shared);
    EXPECT_TRUE(co_await has_turn(*newcomer));
  });
}

TEST(LockQueues, OtherBytesAreNotWaitedFor) {
  kiseki::test::run([]() -> asio::awaitable<void> {
    Queues q;
    RangeLock all{kWriteLock, 1, 0, 99}, left{kWriteLock, 1, 0, 9}, right{kWriteLock, 1, 90, 99};
    auto a = q.record(1, all), b = q.record(2, left), c = q.record(3, right), d = q.record(4, left);
    RangeLockTable held{{kElsewhere, 8, {right}}};
    a->refused(held);
    EXPECT_TRUE(co_await has_turn(*b)) << "the first wants them too, but does not hold them";
    replace(held, {kHere, 2, {left}});
    b->granted(held);
    EXPECT_FALSE(co_await has_turn(*c));
    EXPECT_FALSE(co_await has_turn(*d));
    q.queues.changed_elsewhere(RangeLocksKey{kFile});
    EXPECT_TRUE(co_await has_turn(*a));
    a->refused({{kHere, 2, {left}}});
    EXPECT_TRUE(co_await has_turn(*c));
  });
}

TEST(LockQueues, WhoOnlyStandsBehindIsNoDeadlock) {
  kiseki::test::run([]() -> asio::awaitable<void> {
    Queues q;
    RangeLock low{kWriteLock, 1, 0, 9}, both{kWriteLock, 1, 0, 99}, high{kWriteLock, 1, 90, 99};
    auto wide = q.record(2, both);
    RangeLockTable held{{kHere, 1, {low}}, {kHere, 3, {high}}};
    wide->refused(held);              // 2 waits for 1 and 3
    auto behind = q.record(1, high);  // and 1 for 3, in the queue behind 2
    EXPECT_TRUE(co_await has_turn(*wide));
    wide->refused(held);
    EXPECT_EQ(co_await turn_error(*behind), ETIMEDOUT);
    auto circle = q.record(3, low);
    EXPECT_TRUE(co_await has_turn(*wide));
    wide->refused(held);
    EXPECT_EQ(co_await turn_error(*circle), EDEADLK);
    EXPECT_EQ(co_await turn_error(*behind), ETIMEDOUT);
    circle.reset();
    q.queues.unlocked(kFile, LockKind::record);
    EXPECT_TRUE(co_await has_turn(*wide));
    wide->refused({{kHere, 1, {low}}});
    EXPECT_TRUE(co_await has_turn(*behind)) << "the first waits on, for one who must not wait for it";
  });
}

TEST(LockQueues, AnUnlockDuringALookMakesNoDeadlock) {
  kiseki::test::run([]() -> asio::awaitable<void> {
    Queues q;
    constexpr Ino kOther{6};
    RangeLock all{kWriteLock, 1, 0, 99};
    auto one = q.record(1, all), two = q.record(2, all, kOther);
    one->refused({{kHere, 2, {all}}});
    q.queues.unlocked(kOther, LockKind::record);  // 1 has let go, but the look of 2 had begun
    two->refused({{kHere, 1, {all}}});
    EXPECT_TRUE(co_await has_turn(*two));
    two->refused({{kHere, 1, {all}}});  // now it is true
    EXPECT_EQ(co_await turn_error(*two), EDEADLK);
  });
}

TEST(LockQueues, ACrowdIsServedInOrderAndCheaply) {
  // SEMANTICS: of those of one mount who wait for the same lock, who came first gets it first
  constexpr int kWaiters = 100;
  constexpr std::uint64_t kHolder = 1000;
  Volume v;
  auto engine = std::make_shared<CountingEngine>();
  v.engine = engine;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto file = co_await v.file(kRootIno, "f");
    CO_ASSERT_OK(file);
    CO_ASSERT_OK(co_await flock(*v.client, *file, kHolder, kWriteLock, false));
    std::vector<int> order;
    auto wait = [&](int number) -> asio::awaitable<void> {
      auto owner = static_cast<std::uint64_t>(number);
      CO_ASSERT_OK(co_await flock(*v.client, *file, owner, kWriteLock, true));
      order.push_back(number);
      CO_ASSERT_OK(co_await flock(*v.client, *file, owner, kUnlock, false));
    };
    TaskGroup tasks(co_await asio::this_coro::executor);
    for (int i = 0; i < kWaiters; ++i) tasks.spawn(wait(i));
    co_await sleep_for(10ms);
    EXPECT_TRUE(order.empty());
    auto before = engine->requests.load();
    CO_ASSERT_OK(co_await flock(*v.client, *file, kHolder, kUnlock, false));
    co_await tasks.join();
    std::vector<int> arrival(kWaiters);
    std::iota(arrival.begin(), arrival.end(), 0);
    EXPECT_EQ(order, arrival);
    EXPECT_LE(engine->requests - before, 4 * kWaiters) << "a look, a commit and an unlock each";
    co_await tasks.close();
  });
}

/// Nobody tells of locks of a client that died; the first in the queue finds out, for all.
TEST(LockQueues, LocksOfTheDeadFallWhileACrowdWaits) {
  // SEMANTICS: those of a client that died, or was not heard of, fall when its session expires
  constexpr SessionId kDead{77};
  Volume v;
  auto engine = std::make_shared<CountingEngine>();
  v.engine = engine;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto file = co_await v.file(kRootIno, "f");
    CO_ASSERT_OK(file);
    RangeLock all{kWriteLock, 1, 0, 99}, none{kUnlock, 1, 0, 99};
    Commit dead;
    dead.writes.push_back(PutSession{kDead, {v.clock->now().sec - 1, "{}"}});
    dead.writes.push_back(PutFileLock{*file, {kDead, 1, false}});
    dead.writes.push_back(PutRangeLocks{*file, {kDead, 1, {all}}});
    CO_ASSERT_OK(co_await v.client->commit(std::move(dead)));
    int granted = 0;
    auto want_file = [&](std::uint64_t owner) -> asio::awaitable<void> {
      CO_ASSERT_OK(co_await flock(*v.client, *file, owner, kWriteLock, true));
      ++granted;
      CO_ASSERT_OK(co_await flock(*v.client, *file, owner, kUnlock, true));
    };
    auto want_bytes = [&](std::uint64_t owner) -> asio::awaitable<void> {
      CO_ASSERT_OK(co_await set_lock(*v.client, *file, owner, all, true));
      ++granted;
      CO_ASSERT_OK(co_await set_lock(*v.client, *file, owner, none, true));
    };
    TaskGroup tasks(co_await asio::this_coro::executor);
    auto before = engine->requests.load();
    for (std::uint64_t owner = 1; owner <= 5; ++owner) {
      tasks.spawn(want_file(owner));
      tasks.spawn(want_bytes(owner));
    }
    co_await tasks.join();
    EXPECT_EQ(granted, 10);
    EXPECT_LE(engine->requests - before, 100);
    co_await tasks.close();
  });
}

/// Who holds a lock that others share, and wants to have it alone, must not stand behind one who waits for it to let
/// go.
TEST(LockQueues, AHolderWhoWantsMoreIsNotBehindThoseWhoWaitForIt) {
  Volume v(Volume::plain(), {.post = true});
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto file = co_await v.file(kRootIno, "f");
    CO_ASSERT_OK(file);
    RangeLock shared{kReadLock, 1, 0, 9}, alone{kWriteLock, 1, 0, 9}, none{kUnlock, 1, 0, 9};
    constexpr std::uint64_t kUpgrader = 1, kReader = 2, kWriter = 3;
    CO_ASSERT_OK(co_await set_lock(*v.client, *file, kUpgrader, shared, true));
    CO_ASSERT_OK(co_await set_lock(*v.client, *file, kReader, shared, true));
    std::vector<std::uint64_t> order;
    auto wait = [&](std::uint64_t owner) -> asio::awaitable<void> {
      CO_ASSERT_OK(co_await set_lock(*v.client, *file, owner, alone, true));
      order.push_back(owner);
      CO_ASSERT_OK(co_await set_lock(*v.client, *file, owner, none, false));
    };
    TaskGroup tasks(co_await asio::this_coro::executor);
    tasks.spawn(wait(kWriter));
    co_await sleep_for(5ms);
    tasks.spawn(wait(kUpgrader));
    co_await sleep_for(5ms);
    CO_ASSERT_OK(co_await set_lock(*v.client, *file, kReader, none, false));
    co_await tasks.join();
    EXPECT_EQ(order, (std::vector<std::uint64_t>{kUpgrader, kWriter}));
    co_await tasks.close();
  });
}

TEST(LockQueues, TwoWhoShareAFlockMayBothWantToHaveItAlone) {
  Volume v(Volume::plain(), {.post = true});
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto file = co_await v.file(kRootIno, "f");
    CO_ASSERT_OK(file);
    int granted = 0;
    for (std::uint64_t owner = 1; owner <= 2; ++owner)
      CO_ASSERT_OK(co_await flock(*v.client, *file, owner, kReadLock, true));
    auto wait = [&](std::uint64_t owner) -> asio::awaitable<void> {
      CO_ASSERT_OK(co_await flock(*v.client, *file, owner, kWriteLock, true));
      ++granted;
      CO_ASSERT_OK(co_await flock(*v.client, *file, owner, kUnlock, true));
    };
    TaskGroup tasks(co_await asio::this_coro::executor);
    for (std::uint64_t owner = 1; owner <= 2; ++owner) tasks.spawn(wait(owner));
    co_await tasks.join();
    EXPECT_EQ(granted, 2);
    co_await tasks.close();
  });
}

/// On several loops, with impatient waiters: one holder at a time, and the last one who waits gets it, too.
TEST(LockQueues, ImpatientWaitersOfSeveralLoops) {
  constexpr unsigned kLoops = 3, kEach = 4;
  constexpr int kTimes = 60;
  Volume v(Volume::plain(), {.post = true});
  std::atomic<int> holders{0}, granted{0}, given_up{0}, worst{0};
  Ino file;
  auto work = [&](std::uint64_t owner) -> asio::awaitable<void> {
    for (int i = 0; i < kTimes; ++i) {
      auto patience =
          i + 1 == kTimes ? 20s : std::chrono::nanoseconds(20us * (owner * 7 + static_cast<unsigned>(i)) % 300us);
      auto taken = co_await with_timeout(patience, flock(*v.client, file, owner, kWriteLock, true));
      ++(taken ? granted : given_up);
      if (i + 1 == kTimes) EXPECT_EQ(error_of(taken), 0);
      if (!taken) continue;
      if (++holders != 1) ++worst;
      co_await sleep_for(5us);
      --holders;
      CO_ASSERT_OK(co_await flock(*v.client, file, owner, kUnlock, false));
    }
  };
  Runtime runtime({.loops = kLoops, .pin = false});
  runtime.start();
  runtime.wait([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto made = co_await v.file(kRootIno, "f");
    CO_ASSERT_OK(made);
    file = *made;
    TaskGroup tasks(runtime.executor(0));
    for (unsigned i = 0; i < kLoops * kEach; ++i) tasks.spawn(runtime.executor(i % kLoops), work(i + 1));
    co_await tasks.join();
    auto left = co_await v.record(FileLocksKey{file});
    EXPECT_EQ(std::get<FileLocks>(left), FileLocks());
    co_await tasks.close();
  }());
  EXPECT_EQ(worst, 0);
  EXPECT_GT(granted, 0);
  EXPECT_GT(given_up, 0);
}

}  // namespace kiseki::meta::test
