#include "core/async.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <functional>
#include <stdexcept>

#include "support/run.hpp"

namespace kiseki {
namespace {

using namespace std::chrono_literals;

Async<int> answer(int value) { co_return value; }
Async<int> fails(int error) { co_return posix(error); }

Async<int> never() {
  Signal signal;
  co_await signal.wait(signal.ticket());
  co_return 0;
}

asio::awaitable<bool> aborts(asio::awaitable<void> op) {
  try {
    co_await std::move(op);
  } catch (const boost::system::system_error& e) {
    co_return e.code() == asio::error::operation_aborted;
  }
  co_return false;
}

TEST(WithTimeout, GivesWhatTheOperationAnswers) {
  test::run([]() -> asio::awaitable<void> {
    EXPECT_EQ((co_await with_timeout(10s, answer(7))).value(), 7);
    EXPECT_EQ((co_await with_timeout(10s, fails(ENOENT))).error(), posix(ENOENT));
  });
}

TEST(WithTimeout, CancelsWhatTakesTooLong) {
  test::run([]() -> asio::awaitable<void> {
    EXPECT_EQ((co_await with_timeout(5ms, never())).error(), posix(ETIMEDOUT));
    EXPECT_EQ((co_await with_timeout(0ms, never())).error(), posix(ETIMEDOUT));
  });
}

TEST(WithTimeout, PassesOnExceptions) {
  test::run([]() -> asio::awaitable<void> {
    auto throws = []() -> Async<int> {
      co_await sleep_for(0ms);
      throw std::runtime_error("bug");
    };
    bool caught = false;
    try {
      (void)co_await with_timeout(10s, throws());
    } catch (const std::runtime_error&) {
      caught = true;
    }
    EXPECT_TRUE(caught);
  });
}

TEST(WithTimeout, ALateSuccessIsASuccess) {
  test::run([]() -> asio::awaitable<void> {
    auto stubborn = []() -> Async<int> {
      Signal signal;
      (void)co_await aborts(signal.wait(signal.ticket()));
      co_return 5;  // had its effect although it was told to stop
    };
    EXPECT_EQ((co_await with_timeout(1ms, stubborn())).value(), 5);
  });
}

TEST(WithTimeout, SaysWhenTheCallerWasCancelled) {
  test::run([]() -> asio::awaitable<void> {
    TaskGroup group(co_await asio::this_coro::executor);
    std::error_code seen;
    auto task = [&]() -> asio::awaitable<void> { seen = (co_await with_timeout(10s, never())).error(); };
    group.spawn(task());
    co_await group.close();
    EXPECT_EQ(seen, posix(ECANCELED));
  });
}

TEST(WithTimeout, NestsAndTheInnerOneLeavesTheOuterAlone) {
  test::run([]() -> asio::awaitable<void> {
    auto inner = []() -> Async<int> {
      auto first = co_await with_timeout(1ms, never());
      EXPECT_EQ(first.error(), posix(ETIMEDOUT));
      co_await sleep_for(1ms);  // not cancelled by what timed out inside
      co_return 1;
    };
    EXPECT_EQ((co_await with_timeout(10s, inner())).value(), 1);
  });
}

TEST(WithTimeout, RacesBetweenTheTimerAndTheEnd) {
  test::run([]() -> asio::awaitable<void> {
    int in_time = 0, late = 0;
    for (int i = 0; i < 400; ++i) {
      auto op = []() -> Async<int> {
        co_await sleep_for(200us);
        co_return 1;
      };
      auto result = co_await with_timeout(std::chrono::microseconds(i), op());
      if (result) {
        ++in_time;
      } else {
        EXPECT_EQ(result.error(), posix(ETIMEDOUT));
        ++late;
      }
    }
    EXPECT_EQ(in_time + late, 400);
  });
}

TEST(RunBlocking, ReturnsOnTheCallersLoop) {
  Runtime runtime({.loops = 2, .pin = false});
  runtime.start();
  auto ok = runtime.wait([](Runtime& r) -> asio::awaitable<int> {
    auto& pool = r.pool("test", 2);
    int sum = 0;
    for (int i = 0; i < 100; ++i) {
      auto job = [i]() -> Result<int> {
        EXPECT_EQ(Runtime::current_loop(), -1);
        return i;
      };
      auto got = co_await run_blocking(pool, job);
      EXPECT_EQ(Runtime::current_loop(), 0);
      sum += got.value();
    }
    co_return sum;
  }(runtime));
  EXPECT_EQ(ok, 4950);
}

TEST(RunBlocking, CarriesExceptionsAndMoveOnlyResults) {
  BlockingPool pool("pool", 1);
  EXPECT_EQ(pool.name(), "pool");
  test::run([&]() -> asio::awaitable<void> {
    auto made = co_await run_blocking(pool, []() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(3); });
    EXPECT_EQ(**made, 3);
    bool caught = false;
    try {
      (void)co_await run_blocking(pool, []() -> Result<int> { throw std::runtime_error("bug"); });
    } catch (const std::runtime_error&) {
      caught = true;
    }
    EXPECT_TRUE(caught);
  });
}

TEST(BlockingPool, FinishesQueuedWorkBeforeItEnds) {
  std::atomic<int> done{0};
  {
    BlockingPool pool("p", 2);
    for (int i = 0; i < 100; ++i) pool.submit([&] { ++done; });
  }
  EXPECT_EQ(done, 100);
}

TEST(On, HopsAndComesBack) {
  Runtime runtime({.loops = 2, .pin = false});
  runtime.start();
  runtime.wait([](Runtime& r) -> asio::awaitable<void> {
    auto where = []() -> Async<int> { co_return Runtime::current_loop(); };
    EXPECT_EQ((co_await on(r.executor(1), where())).value(), 1);
    EXPECT_EQ(Runtime::current_loop(), 0);
  }(runtime));
}

TEST(FanOut, RunsAllWithinTheLimit) {
  test::run([]() -> asio::awaitable<void> {
    int running = 0, peak = 0, done = 0;
    auto one = [&]() -> Async<void> {
      peak = std::max(peak, ++running);
      co_await sleep_for(1ms);
      --running;
      ++done;
      co_return Result<void>{};
    };
    std::vector<Async<void>> ops;
    for (int i = 0; i < 20; ++i) ops.push_back(one());
    CO_ASSERT_OK(co_await fan_out(std::move(ops), 3));
    EXPECT_EQ(peak, 3);
    EXPECT_EQ(done, 20);
  });
}

TEST(FanOut, TheFirstErrorStopsTheOthers) {
  test::run([]() -> asio::awaitable<void> {
    int started = 0, cancelled = 0;
    auto waits = [&]() -> Async<void> {
      ++started;
      Signal signal;
      if (co_await aborts(signal.wait(signal.ticket()))) ++cancelled;
      co_return posix(ECANCELED);
    };
    auto breaks = [&]() -> Async<void> {
      ++started;
      co_await sleep_for(1ms);
      co_return posix(ENOSPC);
    };
    std::vector<Async<void>> ops;
    ops.push_back(waits());
    ops.push_back(breaks());
    ops.push_back(waits());
    ops.push_back(waits());
    EXPECT_EQ((co_await fan_out(std::move(ops), 3)).error(), posix(ENOSPC));
    EXPECT_EQ(started, 3);
    EXPECT_EQ(cancelled, 2);
  });
}

TEST(FanOut, AnErrorAtOnceAndAnExceptionAndNothing) {
  test::run([]() -> asio::awaitable<void> {
    auto breaks = []() -> Async<void> { co_return posix(EIO); };
    auto throws = []() -> Async<void> {
      throw std::runtime_error("bug");
      co_return Result<void>{};
    };
    std::vector<Async<void>> ops;
    CO_ASSERT_OK(co_await fan_out(std::move(ops), 1));
    ops.clear();
    for (int i = 0; i < 3; ++i) ops.push_back(breaks());
    EXPECT_EQ((co_await fan_out(std::move(ops), 2)).error(), posix(EIO));
    ops.clear();
    ops.push_back(throws());
    bool caught = false;
    try {
      (void)co_await fan_out(std::move(ops), 2);
    } catch (const std::runtime_error&) {
      caught = true;
    }
    EXPECT_TRUE(caught);
  });
}

TEST(FanOut, ACancelledCallerTakesItsChildrenAlong) {
  test::run([]() -> asio::awaitable<void> {
    TaskGroup group(co_await asio::this_coro::executor);
    std::error_code seen;
    int cancelled = 0;
    auto waits = [&]() -> Async<void> {
      Signal signal;
      if (co_await aborts(signal.wait(signal.ticket()))) ++cancelled;
      co_return Result<void>{};
    };
    auto task = [&]() -> asio::awaitable<void> {
      std::vector<Async<void>> ops;
      for (int i = 0; i < 4; ++i) ops.push_back(waits());
      seen = (co_await fan_out(std::move(ops), 2)).error();
    };
    group.spawn(task());
    co_await group.close();
    EXPECT_EQ(seen, posix(ECANCELED));
    EXPECT_EQ(cancelled, 2);
  });
}

TEST(TaskGroup, SurvivesExceptionsOfItsTasks) {
  test::run([]() -> asio::awaitable<void> {
    TaskGroup group(co_await asio::this_coro::executor);
    auto throws = []() -> asio::awaitable<void> {
      co_await sleep_for(0ms);
      throw std::runtime_error("a bug that must not end the process");
    };
    auto throws_other = []() -> asio::awaitable<void> {
      throw 42;
      co_return;
    };
    group.spawn(throws());
    group.spawn(throws_other());
    co_await group.join();
    EXPECT_EQ(group.running(), 0u);
    co_await group.close();
  });
}

TEST(TaskGroup, TasksMaySpawnTasks) {
  test::run([]() -> asio::awaitable<void> {
    TaskGroup group(co_await asio::this_coro::executor);
    int ended = 0;
    std::function<asio::awaitable<void>(int)> task = [&](int depth) -> asio::awaitable<void> {
      if (depth > 0) {
        group.spawn(task(depth - 1));
        group.spawn(task(depth - 1));
      }
      co_await sleep_for(0ms);
      ++ended;
    };
    group.spawn(task(5));
    co_await group.join();
    EXPECT_EQ(ended, 63);
  });
}

TEST(TaskGroup, CloseCancelsAndWaits) {
  test::run([]() -> asio::awaitable<void> {
    TaskGroup group(co_await asio::this_coro::executor);
    int ended = 0;
    auto task = [&]() -> asio::awaitable<void> {
      Signal signal;
      EXPECT_TRUE(co_await aborts(signal.wait(signal.ticket())));
      ++ended;
    };
    for (int i = 0; i < 5; ++i) group.spawn(task());
    EXPECT_EQ(group.running(), 5u);
    co_await group.close();
    EXPECT_EQ(ended, 5);
    EXPECT_EQ(group.running(), 0u);
    group.spawn(task());
    EXPECT_EQ(group.running(), 0u);
  });
}

TEST(Semaphore, FirstComeFirstServed) {
  test::run([]() -> asio::awaitable<void> {
    Semaphore semaphore(1);
    TaskGroup group(co_await asio::this_coro::executor);
    std::vector<int> order;
    auto task = [&](int i) -> asio::awaitable<void> {
      auto permit = co_await semaphore.acquire();
      order.push_back(i);
    };
    {
      auto permit = co_await semaphore.acquire();
      for (int i = 0; i < 5; ++i) group.spawn(task(i));
      EXPECT_EQ(semaphore.waiting(), 5u);
    }
    co_await group.join();
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
  });
}

TEST(Semaphore, ACancelledWaiterLosesNoPermit) {
  test::run([]() -> asio::awaitable<void> {
    Semaphore semaphore(1);
    auto held = co_await semaphore.acquire();
    auto take = [&]() -> Async<int> {
      auto permit = co_await semaphore.acquire();
      co_return 1;
    };
    for (int i = 0; i < 3; ++i) {
      auto op = take();
      EXPECT_EQ((co_await with_timeout(1ms, std::move(op))).error(), posix(ETIMEDOUT));
    }
    EXPECT_EQ(semaphore.waiting(), 0u);
    held.reset();
    auto op = take();
    EXPECT_EQ((co_await with_timeout(10s, std::move(op))).value(), 1);
  });
}

TEST(Semaphore, ResizesBothWays) {
  test::run([]() -> asio::awaitable<void> {
    Semaphore semaphore(2);
    TaskGroup group(co_await asio::this_coro::executor);
    auto a = co_await semaphore.acquire();
    auto b = co_await semaphore.acquire();
    semaphore.resize(1);
    bool got = false;
    auto task = [&]() -> asio::awaitable<void> {
      auto permit = co_await semaphore.acquire();
      got = true;
    };
    group.spawn(task());
    a.reset();
    co_await sleep_for(1ms);
    EXPECT_FALSE(got) << "one is still out, and one is all there is";
    semaphore.resize(2);
    co_await group.join();
    EXPECT_TRUE(got);
    Semaphore::Permit moved = std::move(b);
    EXPECT_FALSE(b);  // NOLINT(bugprone-use-after-move)
    EXPECT_TRUE(moved);
  });
}

TEST(Mutex, ExcludesAcrossAwaits) {
  test::run([]() -> asio::awaitable<void> {
    Mutex mutex;
    TaskGroup group(co_await asio::this_coro::executor);
    int inside = 0, done = 0;
    auto task = [&]() -> asio::awaitable<void> {
      auto permit = co_await mutex.lock();
      EXPECT_EQ(++inside, 1);
      co_await sleep_for(0ms);
      --inside;
      ++done;
    };
    for (int i = 0; i < 10; ++i) group.spawn(task());
    co_await group.join();
    EXPECT_EQ(done, 10);
  });
}

TEST(Signal, ATicketSeesWhatHappenedSince) {
  test::run([]() -> asio::awaitable<void> {
    Signal signal;
    auto ticket = signal.ticket();
    signal.notify_all();
    co_await signal.wait(ticket);  // at once
    EXPECT_NE(signal.ticket(), ticket);
    TaskGroup group(co_await asio::this_coro::executor);
    int woken = 0;
    auto task = [&]() -> asio::awaitable<void> {
      co_await signal.wait(signal.ticket());
      ++woken;
    };
    for (int i = 0; i < 3; ++i) group.spawn(task());
    EXPECT_EQ(woken, 0);
    signal.notify_all();
    co_await group.join();
    EXPECT_EQ(woken, 3);
  });
}

TEST(SleepFor, IsCancellable) {
  test::run([]() -> asio::awaitable<void> {
    TaskGroup group(co_await asio::this_coro::executor);
    bool aborted = false;
    auto task = [&]() -> asio::awaitable<void> { aborted = co_await aborts(sleep_for(1h)); };
    group.spawn(task());
    co_await group.close();
    EXPECT_TRUE(aborted);
  });
}

}  // namespace
}  // namespace kiseki
