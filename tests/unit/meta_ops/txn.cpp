// Transactions that run again.
#include "meta/txn.hpp"

#include "core/async.hpp"
#include "volume.hpp"

namespace kiseki::meta::test {

TEST(Txn, CancelledWhileItWaitsForItsNextTryItSaysSo) {
  Volume v;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    Result<void> answer;
    bool threw = false;
    auto work = [&]() -> Async<void> {
      try {
        answer = co_await transact<void>(*v.client, [](Txn& txn) -> Async<void> {
          txn.check(Unchanged{CounterKey{Counter::used_space}, std::int64_t{12345}});  // never so
          txn.write(AddCounter{Counter::used_space, 1});
          co_return done();
        });
      } catch (...) {
        threw = true;
      }
      co_return done();
    };
    auto cancelled = work();
    auto ended = co_await with_timeout(std::chrono::milliseconds(20), std::move(cancelled));
    static_cast<void>(ended);
    EXPECT_FALSE(threw);
    EXPECT_EQ(error_of(answer), ECANCELED);
  });
}

}  // namespace kiseki::meta::test
