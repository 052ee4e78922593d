#include "core/inbox.hpp"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <latch>
#include <thread>
#include <vector>

namespace kiseki {
namespace {

namespace asio = boost::asio;
using detail::Inbox;

asio::awaitable<void> wait_for(Inbox::Letter& letter, std::vector<Inbox::Letter*>& handed, int& came_back) {
  co_await letter.wait([&] { handed.push_back(&letter); });
  ++came_back;
}

TEST(Inbox, ALoopRunsUntilTheLastLetterCame) {
  asio::io_context loop(1);
  std::vector<Inbox::Letter> letters(100);
  std::vector<Inbox::Letter*> handed;
  int came_back = 0;
  for (auto& letter : letters) asio::co_spawn(loop, wait_for(letter, handed, came_back), asio::detached);
  loop.poll();
  ASSERT_EQ(handed.size(), letters.size());
  std::thread other([&] {
    for (std::size_t i = 0; i < handed.size(); i += 10) {
      Inbox::Round round;
      for (auto j = i; j < i + 10; ++j) round.add(*handed[j]);
    }
  });
  loop.run();
  other.join();
  EXPECT_EQ(came_back, 100);
}

TEST(Inbox, LettersOfManyThreadsToManyLoopsArriveOnce) {
  constexpr int kLoops = 2, kThreads = 4, kEach = 500;
  std::vector<std::unique_ptr<asio::io_context>> loops;
  std::vector<std::vector<Inbox::Letter>> letters;
  std::vector<std::vector<Inbox::Letter*>> handed(kLoops);
  std::vector<int> came_back(kLoops);
  for (int i = 0; i < kLoops; ++i) {
    loops.push_back(std::make_unique<asio::io_context>(1));
    letters.emplace_back(kThreads * kEach);
    auto at = static_cast<std::size_t>(i);
    for (auto& letter : letters[at])
      asio::co_spawn(*loops[at], wait_for(letter, handed[at], came_back[at]), asio::detached);
    loops[at]->poll();
  }
  std::latch begin(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      begin.arrive_and_wait();
      for (std::size_t i = static_cast<std::size_t>(t); i < kThreads * kEach; i += kThreads)
        for (auto& of_loop : handed) of_loop[i]->deliver();
    });
  for (auto& loop : loops) threads.emplace_back([&loop] { loop->run(); });
  for (auto& thread : threads) thread.join();
  for (int count : came_back) EXPECT_EQ(count, kThreads * kEach);
}

TEST(Inbox, ACoroutineThatThrowsTakesNobodyWithIt) {
  asio::io_context loop(1);
  Inbox::Letter bad, good;
  std::vector<Inbox::Letter*> handed;
  int came_back = 0;
  auto fail = [](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
  };
  asio::co_spawn(
      loop,
      [&]() -> asio::awaitable<void> {
        co_await bad.wait([&] { handed.push_back(&bad); });
        throw std::runtime_error("out of the handler, into the loop");
      },
      fail);
  asio::co_spawn(loop, wait_for(good, handed, came_back), asio::detached);
  loop.poll();
  {
    Inbox::Round round;
    for (auto* letter : handed) round.add(*letter);
  }
  EXPECT_THROW(loop.run(), std::runtime_error);
  loop.run();
  EXPECT_EQ(came_back, 1);
}

TEST(Inbox, ALoopThatIsDestroyedTakesItsCoroutinesAlong) {
  auto alive = std::make_shared<int>(0);
  auto loop = std::make_unique<asio::io_context>(1);
  Inbox::Letter* handed = nullptr;
  asio::co_spawn(
      *loop,
      [&handed, alive]() -> asio::awaitable<void> {
        Inbox::Letter letter;
        co_await letter.wait([&] { handed = &letter; });
      },
      asio::detached);
  loop->poll();
  ASSERT_NE(handed, nullptr);
  handed->deliver();
  loop.reset();
  EXPECT_EQ(alive.use_count(), 1);
}

}  // namespace
}  // namespace kiseki
