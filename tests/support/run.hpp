#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <utility>

namespace kiseki::test {

/// Keeps the loop of a finished run for a few runs more: the thread that posted the last wake-up may still be on its
/// way out of asio::post, with an executor of the loop in its hands.
inline void shelve(std::unique_ptr<boost::asio::io_context> finished) {
  static std::mutex mutex;
  static auto* shelf = new std::unique_ptr<boost::asio::io_context>[8];  // several threads may run; never freed
  static std::size_t turn = 0;
  std::lock_guard lock(mutex);
  finished.swap(shelf[turn++ % 8]);
}

/// Runs a coroutine on a loop of its own and fails the test when it has not finished after `limit`.
template <class F>
void run(F body, std::chrono::seconds limit = std::chrono::seconds(30)) {
  auto loop = std::make_unique<boost::asio::io_context>(1);
  auto& io = *loop;
  std::exception_ptr error;
  bool done = false;
  boost::asio::co_spawn(io, body(), [&](std::exception_ptr e) {
    error = e;
    done = true;
    io.stop();
  });
  // Not run_for: with io_uring, Asio 1.81 may meet the end of such a wait after it has returned from it.
  boost::asio::steady_timer watchdog(io, limit);
  watchdog.async_wait([&io](boost::system::error_code cancelled) {
    if (!cancelled) io.stop();
  });
  io.run();
  if (error) std::rethrow_exception(error);
  if (done) shelve(std::move(loop));
  ASSERT_TRUE(done) << "the coroutine did not finish in " << limit.count() << " s";
}

}  // namespace kiseki::test

/// ASSERT_* cannot leave a coroutine; EXPECT_* is fine.
#define CO_ASSERT_TRUE(condition)                  \
  do {                                             \
    if (!static_cast<bool>(condition)) {           \
      ADD_FAILURE() << "not true: " << #condition; \
      co_return;                                   \
    }                                              \
  } while (0)

/// `expr` is a Result: fails with its error, or goes on.
#define CO_ASSERT_OK(expr)                                        \
  do {                                                            \
    if (const auto& co_ok_ = (expr); !co_ok_) {                   \
      ADD_FAILURE() << #expr << ": " << co_ok_.error().message(); \
      co_return;                                                  \
    }                                                             \
  } while (0)
