#include "core/memory.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <cstring>
#include <deque>
#include <filesystem>
#include <mutex>
#include <random>
#include <thread>

#include "core/async.hpp"
#include "support/run.hpp"

namespace kiseki {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kKiB = 1024, kMiB = 1024 * kKiB;

std::size_t resident(const Buffer& buffer) {
  std::vector<unsigned char> pages(buffer.size() / 4096);
  ::mincore(const_cast<std::byte*>(buffer.data()), buffer.size(), pages.data());
  std::size_t count = 0;
  for (auto page : pages) count += page & 1;
  return count * 4096;
}

TEST(BufferArena, RoundsUpToSizeClasses) {
  BufferArena arena({.limit_bytes = 64 * kMiB});
  for (auto [asked, got] : {std::pair{std::size_t{0}, 64 * kKiB},
                            {std::size_t{1}, 64 * kKiB},
                            {64 * kKiB, 64 * kKiB},
                            {64 * kKiB + 1, 128 * kKiB},
                            {3 * kMiB, 4 * kMiB},
                            {16 * kMiB, 16 * kMiB}}) {
    auto buffer = arena.try_allocate(asked);
    ASSERT_TRUE(buffer) << asked;
    EXPECT_EQ(buffer->size(), got);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer->data()) % std::min(got, 2 * kMiB), 0u);
    EXPECT_EQ(arena.used_bytes(), got);
    std::memset(buffer->data(), 0x5A, buffer->size());
  }
  EXPECT_FALSE(arena.try_allocate(16 * kMiB + 1));
  EXPECT_EQ(arena.used_bytes(), 0u);
}

TEST(BufferArena, NeverPassesTheLimit) {
  // SEMANTICS: buffers, read-ahead and cached blocks together never pass --buffer-size
  BufferArena arena({.limit_bytes = 1 * kMiB});
  std::vector<BufferPtr> held;
  while (auto buffer = arena.try_allocate(64 * kKiB)) held.push_back(buffer);
  EXPECT_EQ(held.size(), 16u);
  EXPECT_DOUBLE_EQ(arena.pressure(), 1.0);
  held.pop_back();
  EXPECT_FALSE(arena.try_allocate(128 * kKiB));
  EXPECT_TRUE(arena.try_allocate(64 * kKiB));
}

TEST(BufferArena, KeepsABoundedReserveWithinTheLimit) {
  BufferArena arena({.limit_bytes = 16 * kMiB});
  {
    auto big = arena.try_allocate(4 * kMiB);
  }
  EXPECT_EQ(arena.reserved_bytes(), 4 * kMiB);
  std::vector<BufferPtr> small;
  while (auto buffer = arena.try_allocate(64 * kKiB)) {
    small.push_back(buffer);
    EXPECT_LE(arena.used_bytes() + arena.reserved_bytes(), arena.limit_bytes());
  }
  EXPECT_EQ(arena.reserved_bytes(), 0u);
  small.clear();
  EXPECT_LE(arena.reserved_bytes(), 8 * kMiB) << "half of the limit";
  EXPECT_GT(arena.reserved_bytes(), 0u);
  arena.trim();
  EXPECT_EQ(arena.reserved_bytes(), 0u);
}

TEST(BufferArena, TrimmedMemoryLeavesTheProcess) {
  BufferArena arena({.limit_bytes = 16 * kMiB});
  auto buffer = arena.try_allocate(kMiB);
  std::memset(buffer->data(), 1, buffer->size());
  EXPECT_EQ(resident(*buffer), kMiB);
  auto* data = buffer->data();
  buffer.reset();
  arena.trim();
  buffer = arena.try_allocate(kMiB);
  ASSERT_EQ(buffer->data(), data);
  EXPECT_EQ(resident(*buffer), 0u);
}

TEST(BufferArena, RefusesTheImpossible) {
  test::run([]() -> asio::awaitable<void> {
    BufferArena arena({.limit_bytes = kMiB});
    EXPECT_EQ((co_await arena.allocate(2 * kMiB)).error(), posix(EINVAL));
    EXPECT_EQ((co_await arena.allocate(17 * kMiB)).error(), posix(EINVAL));
  });
}

TEST(BufferArena, ServesWaitersInOrderAndNobodyOvertakes) {
  test::run([]() -> asio::awaitable<void> {
    BufferArena arena({.limit_bytes = kMiB});
    TaskGroup group(co_await asio::this_coro::executor);
    std::deque<BufferPtr> held;
    for (int i = 0; i < 8; ++i) held.push_back(arena.try_allocate(128 * kKiB));
    std::vector<int> order;
    std::vector<BufferPtr> granted;
    auto waiter = [&](int id, std::size_t bytes) -> asio::awaitable<void> {
      auto buffer = co_await arena.allocate(bytes);
      CO_ASSERT_OK(buffer);
      order.push_back(id);
      granted.push_back(*buffer);
    };
    group.spawn(waiter(1, kMiB / 2));
    group.spawn(waiter(2, 64 * kKiB));
    EXPECT_EQ(arena.waiting(), 2u);
    held.pop_front();
    EXPECT_FALSE(arena.try_allocate(64 * kKiB)) << "overtook those who wait";
    EXPECT_EQ(arena.waiting(), 2u) << "the small one overtook the big one";
    for (int i = 0; i < 4; ++i) held.pop_front();
    co_await group.join();
    EXPECT_EQ(order, (std::vector<int>{1, 2}));
    EXPECT_LE(arena.used_bytes(), arena.limit_bytes());
  });
}

TEST(BufferArena, CancelledWaiterMakesRoomForTheNext) {
  test::run([]() -> asio::awaitable<void> {
    BufferArena arena({.limit_bytes = kMiB});
    TaskGroup group(co_await asio::this_coro::executor);
    auto held = arena.try_allocate(kMiB / 2);
    bool small_served = false;
    auto small = [&]() -> asio::awaitable<void> {
      auto buffer = co_await arena.allocate(64 * kKiB);
      small_served = buffer.has_value();
    };
    auto big = [&]() -> Async<BufferPtr> { co_return co_await arena.allocate(kMiB); };
    auto timed = [&]() -> asio::awaitable<void> {
      EXPECT_EQ((co_await with_timeout(5ms, big())).error(), posix(ETIMEDOUT));
    };
    group.spawn(timed());
    group.spawn(small());
    EXPECT_EQ(arena.waiting(), 2u);
    co_await group.join();
    EXPECT_TRUE(small_served);
    EXPECT_EQ(arena.used_bytes(), kMiB / 2);
  });
}

TEST(BufferArena, AsksCachesBeforeItWaits) {
  test::run([]() -> asio::awaitable<void> {
    BufferArena arena({.limit_bytes = kMiB});
    std::deque<BufferPtr> cache;
    std::size_t asked = 0;
    arena.add_reclaimer([&](std::size_t bytes) {
      asked = bytes;
      std::size_t given = 0;
      while (given < bytes && !cache.empty()) {
        given += cache.front()->size();
        cache.pop_front();
      }
      return given;
    });
    while (auto block = arena.try_allocate(64 * kKiB)) cache.push_back(block);
    EXPECT_DOUBLE_EQ(arena.pressure(), 1.0);
    auto got = co_await arena.allocate(256 * kKiB);
    CO_ASSERT_OK(got);
    EXPECT_EQ(asked, 256 * kKiB);
    EXPECT_EQ(cache.size(), 12u);
  });
}

TEST(BufferArena, AsksAgainWhileOneWaits) {
  test::run([]() -> asio::awaitable<void> {
    BufferArena arena({.limit_bytes = kMiB});
    auto cached = arena.try_allocate(kMiB);
    int asked = 0;
    arena.add_reclaimer([&](std::size_t) -> std::size_t {
      if (++asked < 3) return 0;  // in use just now
      cached.reset();
      return kMiB;
    });
    CO_ASSERT_OK(co_await arena.allocate(kMiB));
    EXPECT_EQ(asked, 3);
  });
}

TEST(BufferArena, SpillsIntoAnUnlinkedFile) {
  // SEMANTICS: or use a mapped file first (--overflow-dir)
  auto dir = std::filesystem::temp_directory_path().string();
  BufferArena arena({.limit_bytes = kMiB, .overflow_dir = dir, .overflow_bytes = 17 * kMiB + 64 * kKiB});
  std::vector<BufferPtr> held{arena.try_allocate(kMiB)};
  for (auto bytes : {16 * kMiB, kMiB, 64 * kKiB}) {
    auto buffer = arena.try_allocate(bytes);
    ASSERT_TRUE(buffer) << bytes;
    std::memset(buffer->data(), 7, buffer->size());
    held.push_back(buffer);
  }
  EXPECT_FALSE(arena.try_allocate(1));
  held.clear();
  EXPECT_EQ(arena.used_bytes(), 0u);
  // Pieces merge again: the biggest fits after the small ones were given back.
  std::vector<BufferPtr> pages;
  while (auto page = arena.try_allocate(64 * kKiB)) pages.push_back(page);
  EXPECT_EQ(pages.size(), 16u + 16 * 17 + 1);
  pages.clear();
  auto again = arena.try_allocate(16 * kMiB);
  EXPECT_TRUE(again);
}

TEST(BufferArena, SaysWhenTheOverflowDirectoryIsUnusable) {
  EXPECT_THROW(BufferArena({.overflow_dir = "/dev/null", .overflow_bytes = kMiB}), std::system_error);
}

/// Threads that allocate, wait, are cancelled and give back on many loops: the sum never passes the limit, nothing
/// leaks.
TEST(BufferArena, HoldsItsBudgetUnderManyLoops) {
  constexpr std::size_t kLimit = 2 * kMiB;
  BufferArena arena({.limit_bytes = kLimit});
  std::mutex mutex;
  std::deque<BufferPtr> cache;  // guarded by mutex
  arena.add_reclaimer([&](std::size_t bytes) {
    std::deque<BufferPtr> dropped;
    std::lock_guard lock(mutex);
    std::size_t given = 0;
    for (; given < bytes && !cache.empty(); cache.pop_front()) {
      given += cache.front()->size();
      dropped.push_back(cache.front());
    }
    return given;
  });
  std::atomic<std::size_t> out{0};
  std::atomic<int> served{0}, timed_out{0};
  {
    Runtime runtime({.loops = 3, .pin = false});
    runtime.start();
    auto worker = [&](unsigned seed) -> asio::awaitable<void> {
      std::minstd_rand random(seed);
      for (int i = 0; i < 150; ++i) {
        auto bytes = (64 * kKiB) << (random() % 5);
        auto op = arena.allocate(bytes);
        auto buffer = co_await with_timeout(random() % 4 ? 10s : std::chrono::nanoseconds(200us), std::move(op));
        if (!buffer) {
          EXPECT_EQ(buffer.error(), posix(ETIMEDOUT));
          ++timed_out;
          continue;
        }
        ++served;
        EXPECT_LE(out += (*buffer)->size(), kLimit);
        EXPECT_LE(arena.used_bytes(), kLimit);
        (*buffer)->data()[0] = std::byte{1};
        if (random() % 2) co_await sleep_for(std::chrono::microseconds(random() % 100));
        out -= (*buffer)->size();
        if (random() % 4 == 0) {
          std::lock_guard lock(mutex);
          cache.push_back(*buffer);
        }
      }
    };
    TaskGroup group(runtime.executor(0));
    for (unsigned i = 0; i < 12; ++i) group.spawn(runtime.executor(i % 3), worker(i));
    runtime.wait(group.join());
  }
  EXPECT_EQ(served + timed_out, 12 * 150);
  EXPECT_GT(served, 0);
  EXPECT_EQ(arena.waiting(), 0u);
  cache.clear();
  EXPECT_EQ(arena.used_bytes(), 0u);
}

}  // namespace
}  // namespace kiseki
