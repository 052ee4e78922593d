#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <mutex>

#include "core/async.hpp"
#include "core/waiter.hpp"

namespace kiseki {

struct Semaphore::State {
  explicit State(std::size_t permits) : total(static_cast<std::ptrdiff_t>(permits)), free(total) {}
  mutable std::mutex mutex;  // guards what follows
  std::ptrdiff_t total;
  std::ptrdiff_t free;  // below zero after shrinking, until enough came back
  detail::WaiterQueue queue;

  bool try_take() {
    std::lock_guard lock(mutex);
    if (free <= 0 || !queue.empty()) return false;
    --free;
    return true;
  }

  void give(std::ptrdiff_t permits) {
    detail::WaiterQueue woken;
    {
      std::lock_guard lock(mutex);
      free += permits;
      serve(woken);
    }
    resume_all(woken);
  }

  /// Under the mutex: hands free permits to the first in the queue.
  void serve(detail::WaiterQueue& woken) {
    while (free > 0 && !queue.empty()) {
      auto& waiter = queue.front();
      queue.pop_front();
      if (!waiter.claim()) continue;  // cancelled a moment ago
      --free;
      waiter.granted = true;
      woken.push_back(waiter);
    }
  }

  static void resume_all(detail::WaiterQueue& woken) {
    while (!woken.empty()) {
      auto& waiter = woken.front();
      woken.pop_front();
      waiter.resume(true);
    }
  }

  void enqueue(detail::Waiter& waiter) {
    detail::WaiterQueue woken;
    {
      std::lock_guard lock(mutex);
      queue.push_back(waiter);
      serve(woken);
    }
    resume_all(woken);
  }
};

Semaphore::Semaphore(std::size_t permits) : state_(std::make_shared<State>(permits)) {}

Semaphore::~Semaphore() = default;

void Semaphore::Permit::reset() noexcept {
  if (auto state = std::exchange(state_, nullptr)) state->give(1);
}

std::size_t Semaphore::waiting() const {
  std::lock_guard lock(state_->mutex);
  return state_->queue.size();
}

void Semaphore::resize(std::size_t permits) {
  std::ptrdiff_t change = 0;
  {
    std::lock_guard lock(state_->mutex);
    change = static_cast<std::ptrdiff_t>(permits) - state_->total;
    state_->total += change;
  }
  state_->give(change);
}

asio::awaitable<Semaphore::Permit> Semaphore::acquire() {
  auto state = state_;
  auto already = co_await asio::this_coro::cancellation_state;
  if (already.cancelled() != asio::cancellation_type::none) {
    throw boost::system::system_error(asio::error::operation_aborted, "Semaphore::acquire");
  }
  if (state->try_take()) co_return Permit(std::move(state));

  // However this frame ends, the queue forgets it, and a permit granted to it is not lost.
  struct Place {
    State& state;
    detail::Waiter waiter{};
    ~Place() {
      bool unused = false;
      {
        std::lock_guard lock(state.mutex);
        if (waiter.queue_hook.is_linked()) state.queue.erase(state.queue.iterator_to(waiter));
        unused = waiter.granted;
      }
      if (unused) state.give(1);
    }
    Permit take(std::shared_ptr<State> owner) {
      waiter.granted = false;
      return Permit(std::move(owner));
    }
  } place{*state};
  auto woken = co_await detail::park(place.waiter, [&s = *state, &w = place.waiter] { s.enqueue(w); });
  if (!woken) throw boost::system::system_error(asio::error::operation_aborted, "Semaphore::acquire");
  co_return place.take(state);
}

asio::awaitable<Semaphore::Permit> Mutex::lock() { return one_.acquire(); }

struct Signal::State {
  mutable std::mutex mutex;  // guards what follows
  std::uint64_t generation = 0;
  detail::WaiterQueue queue;
};

Signal::Signal() : state_(std::make_shared<State>()) {}

Signal::~Signal() = default;

std::uint64_t Signal::ticket() const {
  std::lock_guard lock(state_->mutex);
  return state_->generation;
}

void Signal::notify_all() {
  detail::WaiterQueue woken;
  {
    std::lock_guard lock(state_->mutex);
    ++state_->generation;
    while (!state_->queue.empty()) {
      auto& waiter = state_->queue.front();
      state_->queue.pop_front();
      if (waiter.claim()) woken.push_back(waiter);
    }
  }
  while (!woken.empty()) {
    auto& waiter = woken.front();
    woken.pop_front();
    waiter.resume(true);
  }
}

asio::awaitable<void> Signal::wait(std::uint64_t ticket) {
  auto state = state_;
  auto already = co_await asio::this_coro::cancellation_state;
  if (already.cancelled() != asio::cancellation_type::none) {
    throw boost::system::system_error(asio::error::operation_aborted, "Signal::wait");
  }
  struct Place {
    State& state;
    detail::Waiter waiter{};
    ~Place() {
      std::lock_guard lock(state.mutex);
      if (waiter.queue_hook.is_linked()) state.queue.erase(state.queue.iterator_to(waiter));
    }
  } place{*state};
  auto woken = co_await detail::park(place.waiter, [&s = *state, &w = place.waiter, ticket] {
    std::unique_lock lock(s.mutex);
    if (s.generation == ticket) return s.queue.push_back(w);
    lock.unlock();
    if (w.claim()) w.resume(true);
  });
  if (!woken) throw boost::system::system_error(asio::error::operation_aborted, "Signal::wait");
}

}  // namespace kiseki
