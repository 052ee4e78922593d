// flock(2) and fcntl(2) locks: who excludes whom, who is woken, and waits that could never end.
#include <boost/asio/this_coro.hpp>
#include <optional>

#include "core/async.hpp"
#include "meta/lock_waits.hpp"
#include "meta/ops/range_locks.hpp"
#include "volume.hpp"

namespace kiseki::meta::test {

using namespace op;

TEST(RangeLocks, SplitAndJoin) {
  std::vector<RangeLock> held{{kWriteLock, 7, 0, 99}};
  auto split = with_lock(held, {kUnlock, 7, 40, 59});
  EXPECT_EQ(split, (std::vector<RangeLock>{{kWriteLock, 7, 0, 39}, {kWriteLock, 7, 60, 99}}));
  EXPECT_EQ(with_lock(split, {kWriteLock, 7, 40, 59}), held);
  auto mixed = with_lock(held, {kReadLock, 7, 50, 200});
  EXPECT_EQ(mixed, (std::vector<RangeLock>{{kWriteLock, 7, 0, 49}, {kReadLock, 7, 50, 200}}));
  EXPECT_TRUE(with_lock(mixed, {kUnlock, 0, 0, 0x7FFFFFFFFFFFFFFF}).empty());
}

TEST(MetaOps, LocksExcludeAndWake) {
  Volume v(Volume::plain(), {.post = true});
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto file = co_await v.file(kRootIno, "f");
    CO_ASSERT_OK(file);
    CO_ASSERT_OK(co_await flock(*v.client, *file, 1, kWriteLock, false));
    auto busy = co_await flock(*v.client, *file, 2, kReadLock, false);
    EXPECT_EQ(error_of(busy), EAGAIN);
    bool granted = false;
    TaskGroup tasks(co_await asio::this_coro::executor);
    tasks.spawn([](Volume& volume, Ino ino, bool& done) -> asio::awaitable<void> {
      auto taken = co_await flock(*volume.client, ino, 2, kWriteLock, true);
      done = taken.has_value();
    }(v, *file, granted));
    co_await sleep_for(std::chrono::milliseconds(5));
    EXPECT_FALSE(granted);
    CO_ASSERT_OK(co_await flock(*v.client, *file, 1, kUnlock, false));
    co_await tasks.join();
    EXPECT_TRUE(granted);
    CO_ASSERT_OK(co_await set_lock(*v.client, *file, 5, {kWriteLock, 42, 0, 9}, false));
    auto seen = co_await get_lock(*v.client, *file, 6, {kReadLock, 43, 5, 5});
    CO_ASSERT_OK(seen);
    EXPECT_EQ(*seen, (RangeLock{kWriteLock, 42, 0, 9}));
    CO_ASSERT_OK(co_await release_locks(*v.client, *file, 5, false));
    auto free = co_await get_lock(*v.client, *file, 6, {kReadLock, 43, 5, 5});
    CO_ASSERT_OK(free);
    EXPECT_EQ(free->type, kUnlock);
    co_await tasks.close();
  });
}

TEST(LockWaits, FindsCirclesAndForgetsWhatEnded) {
  LockWaits waits;
  EXPECT_TRUE(waits.wait({1, 100}, {2}));
  EXPECT_TRUE(waits.wait({2, 101}, {9, 3})) << "for two at a time";
  EXPECT_TRUE(waits.wait({4, 102}, {1})) << "waiting for one who waits is no circle";
  EXPECT_FALSE(waits.wait({3, 103}, {8, 1}));
  EXPECT_FALSE(waits.wait({2, 101}, {1}));
  EXPECT_TRUE(waits.wait({3, 103}, {1})) << "what was refused is not noted: 2 waits for nobody";
  waits.end({1, 100});
  EXPECT_TRUE(waits.wait({2, 104}, {3}));
  EXPECT_TRUE(waits.wait({2, 105}, {1})) << "another request of the same owner";
  EXPECT_FALSE(waits.wait({1, 106}, {3}));
  waits.end({3, 103});
  waits.end({3, 103});  // not there any more: nothing happens
  EXPECT_TRUE(waits.wait({1, 106}, {3}));
}

/// Two processes that each hold what the other wants: one of them is told so, the other gets its lock.
TEST(MetaOps, DeadlocksOfRecordLocksAreRefused) {
  Volume v(Volume::plain(), {.post = true});
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto a = co_await v.file(kRootIno, "a"), b = co_await v.file(kRootIno, "b");
    CO_ASSERT_OK(a);
    CO_ASSERT_OK(b);
    constexpr std::uint64_t kLeft = 11, kRight = 12, kThird = 13;
    RangeLock all{kWriteLock, 1, 0, 99};
    CO_ASSERT_OK(co_await set_lock(*v.client, *a, kLeft, all, true));
    CO_ASSERT_OK(co_await set_lock(*v.client, *b, kRight, all, true));
    std::optional<int> left, third;
    TaskGroup tasks(co_await asio::this_coro::executor);
    auto wait = [&v, all](Ino ino, std::uint64_t owner, std::optional<int>& ended) -> asio::awaitable<void> {
      auto taken = co_await set_lock(*v.client, ino, owner, all, true);
      ended = error_of(taken);
    };
    tasks.spawn(wait(*b, kLeft, left));
    tasks.spawn(wait(*a, kThird, third));  // stands behind, in no circle
    co_await sleep_for(std::chrono::milliseconds(5));
    auto refused = co_await set_lock(*v.client, *a, kRight, all, true);
    EXPECT_EQ(error_of(refused), EDEADLK);
    auto other_bytes = co_await set_lock(*v.client, *a, kRight, {kWriteLock, 2, 200, 299}, true);
    EXPECT_EQ(error_of(other_bytes), 0);
    EXPECT_FALSE(left);
    CO_ASSERT_OK(co_await set_lock(*v.client, *b, kRight, {kUnlock, 1, 0, 99}, false));
    for (int i = 0; i < 1000 && !left; ++i) co_await sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(left, 0);
    EXPECT_FALSE(third);
    CO_ASSERT_OK(co_await release_locks(*v.client, *a, kLeft, false));
    co_await tasks.join();
    EXPECT_EQ(third, 0);
    co_await tasks.close();
  });
}

/// Passing locks round and round on every side is no deadlock, however often it is tried.
TEST(MetaOps, HandingLocksOverIsNoDeadlock) {
  Volume v(Volume::plain(), {.post = true});
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto a = co_await v.file(kRootIno, "a"), b = co_await v.file(kRootIno, "b");
    CO_ASSERT_OK(a);
    CO_ASSERT_OK(b);
    int turns = 0;
    auto work = [&](std::uint64_t owner) -> asio::awaitable<void> {
      RangeLock all{kWriteLock, static_cast<std::uint32_t>(owner), 0, 99}, none{kUnlock, 0, 0, 99};
      for (int i = 0; i < 50; ++i) {
        CO_ASSERT_OK(co_await set_lock(*v.client, *a, owner, all, true));
        co_await sleep_for(std::chrono::microseconds(owner * 7));
        CO_ASSERT_OK(co_await set_lock(*v.client, *a, owner, none, false));
        CO_ASSERT_OK(co_await set_lock(*v.client, *b, owner, all, true));
        CO_ASSERT_OK(co_await set_lock(*v.client, *b, owner, none, false));
        ++turns;
      }
    };
    TaskGroup tasks(co_await asio::this_coro::executor);
    for (std::uint64_t owner = 1; owner <= 4; ++owner) tasks.spawn(work(owner));
    co_await tasks.join();
    EXPECT_EQ(turns, 200);
    co_await tasks.close();
  });
}

}  // namespace kiseki::meta::test
