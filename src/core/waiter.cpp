#include "core/waiter.hpp"

#include <boost/asio/post.hpp>
#include <utility>

namespace kiseki::detail {

/// Knows every waiter of one loop, so that a loop that is destroyed takes its suspended coroutines along.
class WaiterService final : public asio::execution_context::service {
 public:
  static asio::execution_context::id id;
  explicit WaiterService(asio::execution_context& context) : asio::execution_context::service(context) {}

  void add(Waiter& waiter) {
    std::lock_guard lock(mutex_);
    waiters_.push_back(waiter);
  }
  void remove(Waiter& waiter) noexcept {
    std::lock_guard lock(mutex_);
    if (waiter.service_hook_.is_linked()) waiters_.erase(waiters_.iterator_to(waiter));
  }

 private:
  using Waiters = boost::intrusive::list<
      Waiter, boost::intrusive::member_hook<Waiter, boost::intrusive::list_member_hook<>, &Waiter::service_hook_>>;

  void shutdown() override {
    std::unique_lock lock(mutex_);
    while (!waiters_.empty()) {
      auto& waiter = waiters_.front();
      waiters_.pop_front();
      if (!waiter.claim()) continue;
      lock.unlock();
      auto work = std::exchange(waiter.work_, {});
      {
        auto handler = std::move(*waiter.handler_);  // owns the coroutine, which owns the waiter
        waiter.handler_.reset();
      }
      lock.lock();
    }
  }

  std::mutex mutex_;
  Waiters waiters_;
};

asio::execution_context::id WaiterService::id;

Waiter::~Waiter() { leave_service(); }

void Waiter::arm(Handler handler, bool cancellable) {
  work_ = asio::prefer(handler.get_executor(), asio::execution::outstanding_work.tracked);
  service_ = &asio::use_service<WaiterService>(asio::query(work_, asio::execution::context));
  handler_.emplace(std::move(handler));
  service_->add(*this);
  if (!cancellable) return;
  if (auto slot = asio::get_associated_cancellation_slot(*handler_); slot.is_connected()) {
    slot.assign([this](asio::cancellation_type) {
      if (claim()) resume(false);
    });
  }
}

void Waiter::resume(bool woken) {
  leave_service();
  auto executor = std::exchange(work_, {});
  auto handler = std::move(*handler_);
  handler_.reset();
  asio::post(executor, [handler = std::move(handler), woken]() mutable { std::move(handler)(woken); });
}

void Waiter::leave_service() noexcept {
  if (service_) std::exchange(service_, nullptr)->remove(*this);
}

}  // namespace kiseki::detail
