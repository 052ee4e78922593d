#pragma once

// Heavy: include from .cpp files and from headers that only such files include.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <vector>

namespace kiseki::meta::sqlite {

namespace asio = boost::asio;

/// A coroutine that waits for another thread; lives in its frame. Whoever has it resumes it exactly once.
class Caller {
 public:
  Caller() = default;
  Caller(const Caller&) = delete;

  /// Suspends the calling coroutine, then calls `enqueue()`, which hands this to the other thread. Not cancellable.
  template <class Enqueue>
  asio::awaitable<void> wait(Enqueue enqueue) {
    return asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [this, enqueue = std::move(enqueue)](Handler handler) mutable {
          work_ = asio::prefer(handler.get_executor(), asio::execution::outstanding_work.tracked);
          handler_.emplace(std::move(handler));
          enqueue();
        },
        asio::use_awaitable);
  }

  /// Every caller goes on, on its own executor: one post for all of one executor. Then they may be gone.
  static void resume(const std::vector<Caller*>& callers);

 private:
  using Handler = asio::async_result<asio::use_awaitable_t<>, void()>::handler_type;
  std::optional<Handler> handler_;
  asio::any_io_executor work_;  // keeps the loop running while we wait
};

}  // namespace kiseki::meta::sqlite
