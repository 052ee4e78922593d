// Loops, timers and cancellations against each other: what must hold is counted, nothing depends on who wins.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <random>

#include "core/async.hpp"
#include "core/guard.hpp"

namespace kiseki {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kLoops = 4;

class AsyncStress : public ::testing::Test {
 protected:
  AsyncStress() : runtime_({.loops = kLoops, .pin = false}) { runtime_.start(); }
  Runtime runtime_;
};

TEST_F(AsyncStress, SemaphoreNeverGivesTooManyNorLosesOne) {
  constexpr int kPermits = 3, kTasks = 24, kTurns = 200;
  Semaphore semaphore(kPermits);
  std::atomic<int> inside{0}, taken{0}, gave_up{0};
  auto hold = [&](unsigned wait) -> Async<int> {
    auto permit = co_await semaphore.acquire();
    EXPECT_LE(++inside, kPermits);
    Guard leaving([&] { --inside; });
    if (wait) co_await sleep_for(std::chrono::microseconds(wait));  // cancelled here, the permit must come back too
    ++taken;
    co_return 0;
  };
  auto work = [&](unsigned seed) -> asio::awaitable<void> {
    std::minstd_rand random(seed);
    for (int i = 0; i < kTurns; ++i) {
      auto budget = random() % 3 ? std::chrono::nanoseconds(20s) : std::chrono::nanoseconds(random() % 300'000);
      auto patient = budget == 20s;
      auto op = hold(random() % 50);
      auto result = co_await with_timeout(budget, std::move(op));
      if (!result) {
        EXPECT_FALSE(patient);
        ++gave_up;
      }
    }
  };
  TaskGroup group(runtime_.executor(0));
  for (unsigned i = 0; i < kTasks; ++i) group.spawn(runtime_.executor(i % kLoops), work(i + 1));
  runtime_.wait(group.join());
  EXPECT_EQ(taken + gave_up, kTasks * kTurns);
  EXPECT_EQ(semaphore.waiting(), 0u);
  // All permits are back: so many can be held at once.
  auto all = [&]() -> asio::awaitable<int> {
    std::vector<Semaphore::Permit> permits;
    for (int i = 0; i < kPermits; ++i) permits.push_back(co_await semaphore.acquire());
    co_return static_cast<int>(permits.size());
  };
  EXPECT_EQ(runtime_.wait(all()), kPermits);
}

TEST_F(AsyncStress, MutexGuardsPlainState) {
  Mutex mutex;
  long counter = 0;  // guarded by mutex
  auto work = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < 300; ++i) {
      auto permit = co_await mutex.lock();
      auto before = counter;
      if (i % 16 == 0) co_await sleep_for(0ms);
      counter = before + 1;
    }
  };
  TaskGroup group(runtime_.executor(0));
  for (unsigned i = 0; i < 8; ++i) group.spawn(runtime_.executor(i % kLoops), work());
  runtime_.wait(group.join());
  EXPECT_EQ(counter, 8 * 300);
}

TEST_F(AsyncStress, SignalLosesNoWakeUp) {
  Signal signal;
  std::atomic<int> value{0};
  constexpr int kLast = 500;
  std::atomic<int> ended{0};
  auto watch = [&]() -> asio::awaitable<void> {
    while (true) {
      auto ticket = signal.ticket();
      if (value >= kLast) break;
      co_await signal.wait(ticket);
    }
    ++ended;
  };
  auto impatient = [&]() -> asio::awaitable<void> {
    while (value < kLast) {
      auto op = [&]() -> Async<int> {
        auto ticket = signal.ticket();
        if (value < kLast) co_await signal.wait(ticket);
        co_return 0;
      };
      auto running = op();
      (void)co_await with_timeout(50us, std::move(running));
    }
    ++ended;
  };
  auto drive = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < kLast; ++i) {
      ++value;
      signal.notify_all();
      if (i % 7 == 0) co_await sleep_for(10us);
    }
  };
  TaskGroup group(runtime_.executor(0));
  for (unsigned i = 0; i < 6; ++i) group.spawn(runtime_.executor(i % kLoops), watch());
  for (unsigned i = 0; i < 3; ++i) group.spawn(runtime_.executor(i % kLoops), impatient());
  group.spawn(runtime_.executor(1), drive());
  runtime_.wait(group.join());
  EXPECT_EQ(ended, 9);
}

/// close() races with tasks that start, end, wait and spawn on every loop: each that began has ended when it returns.
TEST_F(AsyncStress, CloseMeetsTasksInEveryState) {
  for (int round = 0; round < 60; ++round) {
    std::atomic<int> began{0}, over{0};
    Semaphore gate(1);
    Signal signal;
    struct Count {
      explicit Count(std::atomic<int>& b, std::atomic<int>& o) : end(o) { ++b; }
      ~Count() { ++end; }
      std::atomic<int>& end;
    };
    TaskGroup group(runtime_.executor(0));
    auto leaf = [&](unsigned how) -> asio::awaitable<void> {
      Count count(began, over);
      if (how % 4 == 0) co_await sleep_for(1h);
      if (how % 4 == 1) co_await signal.wait(signal.ticket());
      if (how % 4 == 2) auto permit = co_await gate.acquire();
      if (how % 4 == 3) co_await sleep_for(std::chrono::microseconds(how));
    };
    auto spawner = [&](unsigned seed) -> asio::awaitable<void> {
      Count count(began, over);
      for (unsigned i = 0; i < 20; ++i) {
        group.spawn(runtime_.executor((seed + i) % kLoops), leaf(seed + i));
        if (i % 5 == 4) co_await sleep_for(std::chrono::microseconds(seed));
      }
    };
    for (unsigned i = 0; i < kLoops; ++i)
      group.spawn(runtime_.executor(i), spawner(i * 5 + static_cast<unsigned>(round)));
    runtime_.wait(group.close());
    EXPECT_EQ(group.running(), 0u);
    EXPECT_EQ(began, over);
    EXPECT_EQ(gate.waiting(), 0u);
  }
}

TEST_F(AsyncStress, HopsAndPoolJobsUnderCancellation) {
  std::atomic<int> jobs{0}, hops{0}, began{0};
  auto& pool = runtime_.pool("stress", 2);
  TaskGroup group(runtime_.executor(0));
  auto work = [&](unsigned seed) -> asio::awaitable<void> {
    for (unsigned i = 0;; ++i) {
      ++began;
      auto here = Runtime::current_loop();
      auto value = co_await run_blocking(pool, [&jobs]() -> Result<int> { return ++jobs; });
      EXPECT_TRUE(value);
      EXPECT_EQ(Runtime::current_loop(), here);
      auto far = [&hops]() -> Async<int> {
        ++hops;
        co_return Runtime::current_loop();
      };
      auto where = (seed + i) % kLoops;
      auto there = co_await on(runtime_.executor(where), far());
      EXPECT_EQ(*there, static_cast<int>(where));
      EXPECT_EQ(Runtime::current_loop(), here);
    }
  };
  for (unsigned i = 0; i < 16; ++i) group.spawn(runtime_.executor(i % kLoops), work(i));
  auto stop_when_busy = [&]() -> asio::awaitable<void> {
    while (hops < 2000) co_await sleep_for(1ms);
    co_await group.close();
  };
  runtime_.wait(stop_when_busy());
  EXPECT_LE(hops, jobs);
  EXPECT_LE(jobs, began);
}

TEST_F(AsyncStress, FanOutOnEveryLoopAtOnce) {
  std::atomic<int> ran{0};
  auto one = [&](unsigned i) -> Async<void> {
    ++ran;
    if (i % 3) co_await sleep_for(std::chrono::microseconds(i));
    if (i == 37) co_return posix(EIO);
    co_return Result<void>{};
  };
  auto all = [&](unsigned count) -> asio::awaitable<void> {
    for (int turn = 0; turn < 20; ++turn) {
      std::vector<Async<void>> ops;
      for (unsigned i = 0; i < count; ++i) ops.push_back(one(i));
      auto result = co_await fan_out(std::move(ops), 8);
      EXPECT_EQ(result.has_value(), count <= 37);
    }
  };
  TaskGroup group(runtime_.executor(0));
  for (unsigned i = 0; i < kLoops; ++i) group.spawn(runtime_.executor(i), all(i % 2 ? 60 : 30));
  runtime_.wait(group.join());
  EXPECT_GE(ran, 2 * 20 * 30 + 2 * 20 * 38);
}

}  // namespace
}  // namespace kiseki
