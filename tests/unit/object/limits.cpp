#include <gtest/gtest.h>

#include "core/async.hpp"
#include "object/faulty_store.hpp"
#include "object/limited_store.hpp"
#include "object/memory_store.hpp"
#include "object/open_store.hpp"
#include "support/run.hpp"

namespace kiseki::object {
namespace {

using namespace std::chrono_literals;

TEST(RateLimit, LendsAndMakesTheNextOnesWait) {
  RateLimit limit(1'000'000);
  auto now = RateLimit::SteadyClock::now();
  EXPECT_LE(limit.reserve(4'000'000, now), now) << "at once, on credit";
  EXPECT_NEAR(std::chrono::duration<double>(limit.reserve(500'000, now) - now).count(), 3.9, 0.01);
  EXPECT_NEAR(std::chrono::duration<double>(limit.reserve(1, now) - now).count(), 4.4, 0.01);
  auto later = now + 60s;
  EXPECT_LE(limit.reserve(100'000, later), later);
  EXPECT_LE(limit.reserve(1, later), later) << "a tenth of a second's worth was saved";
  EXPECT_GT(limit.reserve(1, later), later) << "not more";
}

TEST(RateLimit, IsInMegabitsWithRoomForHeaders) {
  EXPECT_EQ(bytes_per_second(0), 0u);
  EXPECT_EQ(bytes_per_second(-1), 0u);
  EXPECT_EQ(bytes_per_second(200), 21'250'000u);
}

TEST(LimitedStore, HoldsItsRate) {
  test::run([]() -> asio::awaitable<void> {
    auto rates = std::make_shared<Rates>();
    LimitedStore store(std::make_shared<MemoryStore>(), {.uploads = 8, .downloads = 8, .rates = rates});
    rates->upload.set(1'000'000);  // after it was opened: a volume's limits may change
    std::string text(100'000, 'x');
    auto begun = std::chrono::steady_clock::now();
    for (int i = 0; i < 6; ++i) {
      Body body;
      body.pieces.push_back(std::as_bytes(std::span(text)));
      CO_ASSERT_OK(co_await store.put("k", std::move(body)));
    }
    auto took = std::chrono::steady_clock::now() - begun;
    EXPECT_GE(took, 390ms);
    EXPECT_LE(took, 3s);
  });
}

TEST(LimitedStore, AsksLessAtOnceOfAStoreThatIsAskedTooMuch) {
  auto faulty = std::make_shared<FaultyStore>(std::make_shared<MemoryStore>());
  int now = 0, most = 0;
  faulty->gate([&](Method, ObjectKey) -> asio::awaitable<void> {
    most = std::max(most, ++now);
    co_await sleep_for(5ms);
    --now;
  });
  LimitedStore store(faulty, {.uploads = 8, .downloads = 8});
  auto most_of = [&](int puts) -> asio::awaitable<int> {
    most = 0;
    std::vector<Async<void>> all;
    for (int i = 0; i < puts; ++i) all.push_back(store.put("k", Body()));
    auto put = co_await fan_out(std::move(all), 100);
    EXPECT_TRUE(put);
    co_return most;
  };
  test::run([&]() -> asio::awaitable<void> {
    EXPECT_EQ(co_await most_of(20), 8);
    faulty->fail_next(Method::put, ObjectErrc::throttled);
    auto refused = co_await store.put("k", Body());
    EXPECT_FALSE(refused);
    EXPECT_EQ(co_await most_of(12), 5) << "four, and one more after as many successes";
  });
}

TEST(RateLimit, WhoGivesUpWaitingHasUsedNothing) {
  test::run([]() -> asio::awaitable<void> {
    RateLimit limit(1000);
    co_await limit.take(1000);
    auto wait = [](RateLimit& each) -> Async<void> {
      co_await each.take(50'000);
      co_return Result<void>{};
    };
    auto waited = co_await with_timeout(20ms, wait(limit));
    EXPECT_EQ(waited.error(), posix(ETIMEDOUT));
    auto now = RateLimit::SteadyClock::now();
    EXPECT_LT(limit.reserve(1, now), now + 2s);
  });
}

TEST(OpenStore, WhoWaitsForBandwidthIsNotTimedOut) {
  Runtime runtime({.loops = 1});
  runtime.start();
  StoreSpec spec;
  spec.storage = "mem";
  spec.volume = "v";
  spec.retries.tries = 1;
  spec.timeouts = {.put = 500ms, .get = 500ms};
  spec.limits = {.uploads = 8, .downloads = 8, .rates = std::make_shared<Rates>()};
  spec.limits.rates->upload.set(200'000);
  auto opened = open_store(spec, runtime);
  ASSERT_TRUE(opened.store);
  std::string text(150'000, 'x');
  runtime.wait([](ObjectStore& store, std::span<const char> bytes) -> asio::awaitable<void> {
    for (int i = 0; i < 3; ++i) {
      Body body;
      body.pieces.push_back(std::as_bytes(bytes));
      EXPECT_TRUE(co_await store.put("k", std::move(body)));
    }
  }(*opened.store, text));
}

TEST(AdaptiveGate, HalvesWhenTheStoreIsAskedTooMuchAndRecovers) {
  AdaptiveGate gate(16);
  for (int i = 0; i < 10; ++i) gate.report(ObjectErrc::throttled);
  EXPECT_EQ(gate.allowed(), 8u) << "at most once a second: those under way were sent before";
  for (int i = 0; i < 7; ++i) gate.report({});
  EXPECT_EQ(gate.allowed(), 8u);
  gate.report({});
  EXPECT_EQ(gate.allowed(), 9u) << "one more after a round of successes";
  gate.report(ObjectErrc::unavailable);
  EXPECT_EQ(gate.allowed(), 9u);
  for (int i = 0; i < 1000; ++i) gate.report({});
  EXPECT_EQ(gate.allowed(), 16u) << "never more than configured";
}

}  // namespace
}  // namespace kiseki::object
