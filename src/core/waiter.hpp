#pragma once

// Internal: how a coroutine stands still until another thread says go. Heavy: include from .cpp files only.

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/intrusive/list.hpp>
#include <mutex>
#include <optional>

namespace kiseki::detail {

namespace asio = boost::asio;
class WaiterService;

/// One suspended coroutine. Lives in that coroutine's frame, linked into the queue of what it waits for (under the
/// queue's mutex). Granting, cancelling and tearing down race: whoever wins `claim()` decides, and only once.
class Waiter {
 public:
  using Handler = asio::async_result<asio::use_awaitable_t<>, void(bool)>::handler_type;
  Waiter() = default;
  Waiter(const Waiter&) = delete;
  ~Waiter();

  bool claim() noexcept { return !claimed_.exchange(true, std::memory_order_acq_rel); }
  /// Only after a won claim; any thread. The coroutine goes on, on its own executor, with `woken`; then *this may be
  /// gone.
  void resume(bool woken);
  void arm(Handler handler, bool cancellable);  ///< called by `park`

  boost::intrusive::list_member_hook<> queue_hook;
  bool granted = false;  ///< guarded by the queue's mutex

 private:
  friend class WaiterService;
  void leave_service() noexcept;

  std::atomic<bool> claimed_{false};
  std::optional<Handler> handler_;
  asio::any_io_executor work_;  // keeps the loop running while we wait
  WaiterService* service_ = nullptr;
  boost::intrusive::list_member_hook<> service_hook_;
};

using WaiterQueue = boost::intrusive::list<
    Waiter, boost::intrusive::member_hook<Waiter, boost::intrusive::list_member_hook<>, &Waiter::queue_hook>>;

/// Suspends the calling coroutine, then calls `enqueue()`, which makes the waiter known to those who will resume it.
/// True when woken, false when cancelled. The caller asks `this_coro::cancellation_state` before: a cancellation that
/// was delivered already is not delivered again. `enqueue` must not touch the frame once another thread can see the
/// waiter.
template <class Enqueue>
asio::awaitable<bool> park(Waiter& waiter, Enqueue enqueue, bool cancellable = true) {
  return asio::async_initiate<const asio::use_awaitable_t<>, void(bool)>(
      [&waiter, enqueue = std::move(enqueue), cancellable](Waiter::Handler handler) mutable {
        waiter.arm(std::move(handler), cancellable);
        enqueue();
      },
      asio::use_awaitable);
}

}  // namespace kiseki::detail
