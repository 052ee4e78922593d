#include "core/runtime.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <future>
#include <stdexcept>
#include <thread>

#include "core/async.hpp"
#include "core/memory.hpp"

namespace kiseki {
namespace {

using namespace std::chrono_literals;

TEST(Runtime, HasALoopPerUsableCpuEachOnItsOwn) {
  cpu_set_t usable;
  CPU_ZERO(&usable);
  ASSERT_EQ(::sched_getaffinity(0, sizeof usable, &usable), 0);
  Runtime runtime({});
  EXPECT_EQ(runtime.loops(), static_cast<unsigned>(CPU_COUNT(&usable)));
  runtime.start();
  cpu_set_t seen;
  CPU_ZERO(&seen);
  for (unsigned i = 0; i < runtime.loops(); ++i) {
    std::promise<void> done;
    runtime.post(i, [&, i] {
      EXPECT_EQ(Runtime::current_loop(), static_cast<int>(i));
      cpu_set_t mine;
      CPU_ZERO(&mine);
      ::pthread_getaffinity_np(::pthread_self(), sizeof mine, &mine);
      EXPECT_EQ(CPU_COUNT(&mine), 1);
      CPU_OR(&seen, &seen, &mine);
      char name[16];
      ::pthread_getname_np(::pthread_self(), name, sizeof name);
      EXPECT_EQ(name, "kiseki-loop-" + std::to_string(i));
      done.set_value();
    });
    done.get_future().get();
  }
  EXPECT_TRUE(CPU_EQUAL(&seen, &usable));
  EXPECT_EQ(Runtime::current_loop(), -1);
}

TEST(Runtime, GoesOnAfterAHandlerThrew) {
  Runtime runtime({.loops = 1, .pin = false});
  runtime.start();
  runtime.post(0, [] { throw std::runtime_error("a bug that must not end the process"); });
  auto still_here = []() -> asio::awaitable<int> { co_return 1; };
  EXPECT_EQ(runtime.wait(still_here()), 1);
}

TEST(Runtime, WaitPassesOnWhatWasThrown) {
  Runtime runtime({.loops = 1, .pin = false});
  runtime.start();
  auto throws = []() -> asio::awaitable<void> {
    co_await sleep_for(0ms);
    throw std::runtime_error("x");
  };
  EXPECT_THROW(runtime.wait(throws()), std::runtime_error);
}

TEST(Runtime, PoolsAreKeptByName) {
  Runtime runtime({.loops = 1, .pin = false});
  auto& pool = runtime.pool("disk", 2);
  EXPECT_EQ(&runtime.pool("disk", 7), &pool);
  EXPECT_NE(&runtime.pool("sqlite", 1), &pool);
  std::promise<std::string> name;
  pool.submit([&] {
    char text[16];
    ::pthread_getname_np(::pthread_self(), text, sizeof text);
    name.set_value(text);
  });
  EXPECT_EQ(name.get_future().get(), "disk");
}

TEST(Runtime, TheOnlyJobOfAPoolRunsOnTheCpuOfWhoWaitsForIt) {
  Runtime runtime({});
  runtime.start();
  BlockingPool pool("short", 2);
  auto cpu_of_job = [&]() -> asio::awaitable<std::pair<int, int>> {
    auto here = ::sched_getcpu();
    auto there = co_await run_blocking(pool, []() -> Result<int> { return ::sched_getcpu(); });
    co_return std::pair(here, there ? *there : -1);
  };
  int same = 0;
  for (int round = 0; round < 20; ++round)
    for (unsigned loop = 0; loop < runtime.loops(); ++loop) {
      std::this_thread::sleep_for(1ms);  // the worker before goes to sleep
      std::promise<std::pair<int, int>> seen;
      asio::co_spawn(runtime.executor(loop), cpu_of_job(),
                     [&](std::exception_ptr, std::pair<int, int> cpus) { seen.set_value(cpus); });
      auto [here, there] = seen.get_future().get();
      same += here == there;
    }
  EXPECT_GE(same, 10 * static_cast<int>(runtime.loops()));  // unless a worker was still on its way to sleep
}

TEST(Runtime, StopsTwiceAndWithoutAStart) {
  Runtime never({.loops = 2, .pin = false});
  never.stop();
  Runtime twice({.loops = 2, .pin = false});
  twice.start();
  twice.stop();
  twice.stop();
}

/// Coroutines that wait for each other over loops when everything is torn down: nothing leaks, nothing is touched
/// after.
TEST(Runtime, TakesSuspendedCoroutinesAlong) {
  struct Counted {
    explicit Counted(std::atomic<int>& n) : alive(n) { ++alive; }
    ~Counted() { --alive; }
    std::atomic<int>& alive;
  };
  std::atomic<int> alive{0}, parked{0};
  Semaphore semaphore(0);
  Signal signal;
  BufferArena arena({.limit_bytes = 64 << 10});
  auto all_memory = arena.try_allocate(1);
  {
    Runtime runtime({.loops = 2, .pin = false});
    runtime.start();
    auto holds = [&](int how) -> asio::awaitable<void> {
      Counted counted(alive);
      ++parked;
      if (how == 0) auto permit = co_await semaphore.acquire();
      if (how == 1) co_await signal.wait(signal.ticket());
      if (how == 2) co_await sleep_for(1h);
      if (how == 3) {
        auto far = [&]() -> Async<int> {
          co_await sleep_for(1h);
          co_return 1;
        };
        (void)co_await on(runtime.executor(1), far());
      }
      if (how == 4) {
        auto slow = [&]() -> Async<int> {
          co_await signal.wait(signal.ticket());
          co_return 1;
        };
        (void)co_await with_timeout(1h, slow());
      }
      if (how == 5) {
        auto slow = [&]() -> Async<void> {
          co_await signal.wait(signal.ticket());
          co_return Result<void>{};
        };
        std::vector<Async<void>> ops;
        for (int i = 0; i < 3; ++i) ops.push_back(slow());
        (void)co_await fan_out(std::move(ops), 2);
      }
      if (how == 6) (void)co_await arena.allocate(1);
    };
    for (int how = 0; how < 7; ++how) {
      for (unsigned loop = 0; loop < 2; ++loop) {
        asio::co_spawn(runtime.executor(loop), holds(how), [](std::exception_ptr) { ADD_FAILURE() << "must not end"; });
      }
    }
    for (unsigned loop = 0; loop < 2; ++loop) {  // a turn of each loop later all of them wait
      std::promise<void> done;
      runtime.post(loop, [&] { done.set_value(); });
      done.get_future().get();
    }
    EXPECT_EQ(parked, 14);
    EXPECT_EQ(alive, 14);
  }
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(semaphore.waiting(), 0u);
  EXPECT_EQ(arena.waiting(), 0u);
}

TEST(Io, TheBackendOfThisBuildIsProbed) {
#ifdef BOOST_ASIO_HAS_IO_URING
  if (!io_backend_usable()) GTEST_SKIP() << "SKIPPED: io_uring_setup is refused here";
#endif
  EXPECT_TRUE(io_backend_usable());
}

// Linux counts rings against what an ordinary user may lock, 8 MiB as a rule.
bool works_with_little_lockable_memory(void (*work)()) {
  auto child = ::fork();
  if (child == 0) {
    constexpr uid_t kNobody = 65533;
    rlimit little{2 << 20, 2 << 20};
    if (::setrlimit(RLIMIT_MEMLOCK, &little) != 0 || (::geteuid() == 0 && ::setuid(kNobody) != 0)) ::_exit(2);
    try {
      work();
      ::_exit(0);
    } catch (...) {
      ::_exit(1);
    }
  }
  int ended = -1;
  return child > 0 && ::waitpid(child, &ended, 0) == child && ended == 0;
}

TEST(Io, ManyLoopsTakeLittleOfTheMemoryAUserMayLock) {
  EXPECT_TRUE(works_with_little_lockable_memory([] { Runtime runtime({.loops = 16, .pin = false}); }));
}

TEST(Io, LoopsThatAreGoneHinderNoNewOnes) {
  EXPECT_TRUE(works_with_little_lockable_memory([] {
    for (int i = 0; i < 400; ++i) {
      asio::io_context loop{1};
      asio::steady_timer timer{loop, std::chrono::seconds(1)};  // a loop has its ring once it waits
      timer.async_wait([](auto) {});
      loop.poll();
    }
  }));
}

// A cancellation takes an entry of the ring that somebody had before.
TEST(Io, ACancelledWaitEndsNoOther) {
  using Descriptor = asio::posix::stream_descriptor;
  asio::io_context loop{1};
  int ended = 0;
  auto silent = [&loop] {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    return std::pair(Descriptor(loop, ends[0]), Descriptor(loop, ends[1]));
  };
  std::vector<std::pair<Descriptor, Descriptor>> waiting;
  for (int i = 0; i < 8; ++i)
    waiting.push_back(silent()), waiting.back().first.async_wait(Descriptor::wait_read, [&](auto) { ++ended; });
  auto pipe = silent();
  for (int i = 0; i < 2000; ++i) {
    bool over = false;
    pipe.first.async_wait(Descriptor::wait_read, [&](auto) { over = true; });
    loop.poll();
    pipe.first.cancel();
    while (!over) loop.run_one();
  }
  EXPECT_EQ(ended, 0);
}

}  // namespace
}  // namespace kiseki
