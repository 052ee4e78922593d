#include <gtest/gtest.h>

#include "object/limited_store.hpp"
#include "object/memory_store.hpp"
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
    LimitedStore store(std::make_shared<MemoryStore>(), {.uploads = 8, .downloads = 8, .upload_per_second = 1'000'000});
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
