#include "core/async.hpp"

#include <gtest/gtest.h>

#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <thread>

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

}  // namespace
}  // namespace kiseki
