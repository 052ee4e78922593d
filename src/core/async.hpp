#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "core/result.hpp"
#include "core/runtime.hpp"

/// Structured concurrency: every coroutine has an owner that awaits it, every wait a bound.
namespace kiseki {

/// Owns coroutines nobody else waits for. `spawn` from any thread; the coroutine runs on `home`, or on the executor
/// given (of a loop or a strand). Called on that loop, `spawn` runs it up to its first suspension: hold no lock it may
/// need. An exception that leaves a coroutine is logged as a bug and swallowed.
class TaskGroup {
 public:
  explicit TaskGroup(asio::any_io_executor home);
  ~TaskGroup();  ///< asserts that nothing still runs
  void spawn(asio::awaitable<void> work);
  void spawn(asio::any_io_executor where, asio::awaitable<void> work);
  std::size_t running() const;
  asio::awaitable<void> join();   ///< waits until all have ended, without cancelling
  asio::awaitable<void> close();  ///< cancels (terminal) what runs, refuses what comes, waits until all have ended

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// Permits, first come, first served. Any thread, any loop; waiting is cancellable and never loses a permit.
class Semaphore {
 public:
  class [[nodiscard]] Permit;
  explicit Semaphore(std::size_t permits);
  ~Semaphore();
  asio::awaitable<Permit> acquire();  ///< throws operation_aborted when cancelled
  std::size_t waiting() const;
  void resize(std::size_t permits);  ///< grows or shrinks the total; shrinking takes effect as permits come back

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// Mutual exclusion across co_await; a Semaphore of one.
class Mutex {
 public:
  Mutex() : one_(1) {}
  asio::awaitable<Semaphore::Permit> lock();

 private:
  Semaphore one_;
};

/// A one-way gate between coroutines of any loops: `wait` returns once `notify_all` was called after it began, or, with
/// a ticket taken before (`ticket()`), at once if it was called since. No wake-up is lost between `ticket` and `wait`.
class Signal {
 public:
  Signal();
  ~Signal();
  std::uint64_t ticket() const;
  asio::awaitable<void> wait(std::uint64_t ticket);  ///< cancellable: throws operation_aborted
  void notify_all();                                 ///< any thread; waiters resume on their own executors

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// Runs `op` on another executor and resumes here with its result. Cancellation does not cross.
template <class T>
Async<T> on(asio::any_io_executor where, Async<T> op);

/// Runs `job` (returning Result<T>, not throwing) on a pool thread and resumes on the caller's executor. Not
/// cancellable.
template <class F, class R = std::invoke_result_t<F>>
asio::awaitable<R> run_blocking(BlockingPool& pool, F job);

/// Gives `op` at most `budget`, then cancels it and waits for it to let go.
/// Errors: those of `op`; ETIMEDOUT, after which its effect is unknown; ECANCELED when we were cancelled.
template <class T>
Async<T> with_timeout(std::chrono::nanoseconds budget, Async<T> op);

/// Runs all `ops`, at most `limit` at a time, on the caller's executor. The first error stops those not yet started,
/// cancels the running ones and is returned once all have ended.
Async<void> fan_out(std::vector<Async<void>> ops, std::size_t limit);

/// Waits. Throws operation_aborted when cancelled.
asio::awaitable<void> sleep_for(std::chrono::nanoseconds time);

}  // namespace kiseki

#include "core/async_impl.hpp"
