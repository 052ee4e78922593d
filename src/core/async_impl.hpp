#pragma once

// Bodies of the templates of core/async.hpp; include that one.

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace kiseki {

class [[nodiscard]] Semaphore::Permit {
 public:
  Permit() = default;
  Permit(Permit&& other) noexcept = default;
  Permit& operator=(Permit&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~Permit() { reset(); }
  void reset() noexcept;  ///< gives the permit back now
  explicit operator bool() const noexcept { return state_ != nullptr; }

 private:
  friend class Semaphore;
  explicit Permit(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

namespace detail {

enum class TimedOut { no, yes, cancelled };

/// Runs `work` and cancels it after `budget` or when the caller is cancelled. Says which happened; rethrows what `work`
/// threw unless that is how it took the cancellation.
asio::awaitable<TimedOut> run_for(std::chrono::nanoseconds budget, asio::awaitable<void> work);

/// Runs `work` on `where` to its end, whatever happens to the caller; rethrows what it threw.
asio::awaitable<void> run_on(asio::any_io_executor where, asio::awaitable<void> work);

/// Calls `job(argument)` on a pool thread and resumes here after it.
asio::awaitable<void> run_on_pool(BlockingPool& pool, void (*job)(void*), void* argument);

template <class T>
asio::awaitable<void> capture_shared(asio::awaitable<T> work, std::shared_ptr<std::optional<T>> out) {
  out->emplace(co_await std::move(work));
}

template <class F, class R>
struct BlockingCall {
  explicit BlockingCall(F f) : job(std::move(f)) {}
  static void run(void* self) noexcept {
    auto& call = *static_cast<BlockingCall*>(self);
    try {
      call.result.emplace(call.job());
    } catch (...) {
      call.error = std::current_exception();
    }
  }
  F job;
  std::optional<R> result;
  std::exception_ptr error;
};

}  // namespace detail

template <class T>
Async<T> on(asio::any_io_executor where, Async<T> op) {
  auto out = std::make_shared<std::optional<Result<T>>>();  // outlives us should our loop end first
  auto work = detail::capture_shared(std::move(op), out);
  co_await detail::run_on(std::move(where), std::move(work));
  co_return std::move(**out);
}

template <class F, class R>
asio::awaitable<R> run_blocking(BlockingPool& pool, F job) {
  static_assert(!std::is_void_v<R>, "a job says how it ended: return a Result");
  using Call = detail::BlockingCall<F, R>;
  Call call(std::move(job));
  co_await detail::run_on_pool(pool, &Call::run, &call);
  if (call.error) std::rethrow_exception(call.error);
  co_return std::move(*call.result);
}

template <class T>
Async<T> with_timeout(std::chrono::nanoseconds budget, Async<T> op) {
  std::optional<Result<T>> out;
  auto work = detail::capture(std::move(op), out);
  auto verdict = co_await detail::run_for(budget, std::move(work));
  if (out && (out->has_value() || verdict == detail::TimedOut::no)) co_return std::move(*out);
  co_return posix(verdict == detail::TimedOut::yes ? ETIMEDOUT : ECANCELED);
}

}  // namespace kiseki
