#include <gtest/gtest.h>

#include "core/async.hpp"
#include "object/faulty_store.hpp"
#include "object/hedged_store.hpp"
#include "object/memory_store.hpp"
#include "support/run.hpp"

namespace kiseki::object {
namespace {

using namespace std::chrono_literals;

TEST(LatencyBook, KnowsNothingAtFirstThenPercentiles) {
  LatencyBook book;
  for (int i = 0; i < 99; ++i) book.add(1ms);
  EXPECT_FALSE(book.percentile(0.99));
  for (int i = 0; i < 900; ++i) book.add(1ms);
  book.add(1s);
  auto p99 = book.percentile(0.99);
  EXPECT_TRUE(p99 && *p99 >= 1ms && *p99 <= 1300us);
  for (int i = 0; i < 200; ++i) book.add(100ms);
  EXPECT_GE(*book.percentile(0.99), 100ms);
  for (int i = 0; i < 100'000; ++i) book.add(2ms);
  EXPECT_LE(*book.percentile(0.99), 3ms) << "what is long ago fades";
}

class Hedged : public ::testing::Test {
 protected:
  Hedged() : faulty(std::make_shared<FaultyStore>(std::make_shared<MemoryStore>())), store(faulty, 0.9) {
    faulty->gate([this](Method method, ObjectKey) -> asio::awaitable<void> {
      if (method != Method::get) co_return;
      auto number = ++reads;
      co_await sleep_for(slow && slow(number) ? 2s : 1ms);
    });
  }
  Async<void> warm_up() {
    Body body;
    body.pieces.push_back(std::as_bytes(std::span(text)));
    CO_CHECK(co_await store.put("k", std::move(body)));
    for (int i = 0; i < 150; ++i) CO_CHECK(co_await read());
    co_return Result<void>{};
  }
  Async<void> read() {
    std::string into(text.size(), '.');
    CO_TRY(auto got, co_await store.get("k", 0, std::as_writable_bytes(std::span(into))));
    if (got != text.size() || into != text) co_return ObjectErrc::corrupt;
    co_return Result<void>{};
  }

  std::string text = std::string(10'000, 'h');
  std::shared_ptr<FaultyStore> faulty;
  std::function<bool(int)> slow;
  int reads = 0;
  HedgedStore store;
};

TEST_F(Hedged, ASlowReadIsOvertaken) {
  test::run([this]() -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await warm_up());
    while (store.counts().second_reads * 20 + 20 > static_cast<std::size_t>(reads))  // a slow machine had some already
      CO_ASSERT_OK(co_await read());
    auto before = store.counts();
    slow = [from = reads + 1](int number) { return number == from; };
    CO_ASSERT_OK(co_await read());
    EXPECT_EQ(store.counts().second_reads, before.second_reads + 1);
    EXPECT_EQ(store.counts().won, before.won + 1);
  });
}

TEST_F(Hedged, SecondReadsAreAtMostOneInTwenty) {
  test::run([this]() -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await warm_up());
    for (int i = 0; i < 400; ++i) CO_ASSERT_OK(co_await read());
    EXPECT_LE(store.counts().second_reads, 550u / 20 + 1);
  });
}

TEST_F(Hedged, AFailureOfTheFirstIsAnAnswer) {
  test::run([this]() -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await warm_up());
    faulty->fail_next(Method::get, ObjectErrc::not_found);
    auto failed = co_await read();
    CO_ASSERT_TRUE(!failed);
    EXPECT_EQ(failed.error(), ObjectErrc::not_found);
  });
}

TEST_F(Hedged, CancellingTheReaderEndsBoth) {
  test::run([this]() -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await warm_up());
    slow = [](int) { return true; };
    auto begun = std::chrono::steady_clock::now();
    auto cancelled = co_await with_timeout(100ms, read());
    CO_ASSERT_TRUE(!cancelled);
    EXPECT_EQ(cancelled.error(), posix(ETIMEDOUT));
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 1500ms);
  });
}

}  // namespace
}  // namespace kiseki::object
