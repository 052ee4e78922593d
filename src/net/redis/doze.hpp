#pragma once

// Internal to net/redis. Heavy: include from .cpp files and from headers that only such files include.

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include "core/guard.hpp"
#include "core/waiter.hpp"

namespace kiseki::net::redis {

/// Where one coroutine of a loop sleeps until another part of the same loop wakes it. A wake-up while nobody sleeps is
/// lost: look at what you wait for first.
class Doze {
 public:
  /// Throws operation_aborted when cancelled.
  asio::awaitable<void> sleep() {
    auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) abort();
    detail::Waiter waiter;
    sleeper_ = &waiter;
    Guard awake([this] { sleeper_ = nullptr; });
    if (!co_await detail::park(waiter, [] {})) abort();
  }
  void wake() {
    if (sleeper_ && sleeper_->claim()) sleeper_->resume(true);
  }

 private:
  [[noreturn]] static void abort() { throw boost::system::system_error(asio::error::operation_aborted); }
  detail::Waiter* sleeper_ = nullptr;
};

}  // namespace kiseki::net::redis
