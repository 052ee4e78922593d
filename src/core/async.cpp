#include "core/async.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/system_error.hpp>
#include <deque>

#include "core/inbox.hpp"
#include "core/pool_node.hpp"
#include "core/waiter.hpp"

namespace kiseki {
namespace {

bool is_abort(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const boost::system::system_error& e) {
    return e.code() == asio::error::operation_aborted;
  } catch (...) {
    return false;
  }
}

using VoidHandler = asio::async_result<asio::use_awaitable_t<>, void()>::handler_type;

// A parent waits for children by handing them its handler, which owns the parent: a child that is destroyed instead of
// ending (its loop is) takes the parent along. So whatever the parent itself holds must not own the handler.

/// One operation against one timer, all on one executor. Shared by both and by the waiting coroutine.
struct Race {
  explicit Race(asio::any_io_executor executor) : timer(executor) {}
  asio::steady_timer timer;
  asio::cancellation_signal cancel;
  detail::TimedOut verdict = detail::TimedOut::no;
  std::exception_ptr error;
  bool ended = false;

  void stop(detail::TimedOut why) {
    if (ended || verdict != detail::TimedOut::no) return;
    verdict = why;
    cancel.emit(asio::cancellation_type::terminal);
  }
};

void start_race(std::shared_ptr<Race> race, asio::any_io_executor here, std::chrono::nanoseconds budget,
                asio::awaitable<void> work, VoidHandler handler) {
  if (auto slot = asio::get_associated_cancellation_slot(handler); slot.is_connected()) {
    slot.assign([weak = std::weak_ptr(race)](asio::cancellation_type) {
      if (auto alive = weak.lock()) alive->stop(detail::TimedOut::cancelled);
    });
  }
  race->timer.expires_after(budget);
  race->timer.async_wait([race](boost::system::error_code ec) {
    if (!ec) race->stop(detail::TimedOut::yes);
  });
  auto ended = [race, back = std::move(handler)](std::exception_ptr error) mutable {
    race->ended = true;
    race->error = std::move(error);
    race->timer.cancel();
    std::move(back)();
  };
  asio::co_spawn(here, std::move(work), asio::bind_cancellation_slot(race->cancel.slot(), std::move(ended)));
}

}  // namespace

asio::awaitable<detail::TimedOut> detail::run_for(std::chrono::nanoseconds budget, asio::awaitable<void> work) {
  auto here = co_await asio::this_coro::executor;
  auto already = co_await asio::this_coro::cancellation_state;
  if (already.cancelled() != asio::cancellation_type::none) co_return TimedOut::cancelled;
  auto race = std::make_shared<Race>(here);
  auto start = [&](VoidHandler handler) { start_race(race, here, budget, std::move(work), std::move(handler)); };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(start, asio::use_awaitable);
  if (race->error) {
    if (!is_abort(race->error)) std::rethrow_exception(race->error);
    if (race->verdict == TimedOut::no) co_return TimedOut::cancelled;
  }
  co_return race->verdict;
}

asio::awaitable<void> detail::run_on(asio::any_io_executor where, asio::awaitable<void> work) {
  struct Visit {
    VoidHandler handler;
    asio::any_io_executor home;
    std::shared_ptr<std::exception_ptr> error;
    void operator()(std::exception_ptr e) {
      *error = std::move(e);
      asio::post(home, [back = std::move(handler)]() mutable { std::move(back)(); });
    }
  };
  auto error = std::make_shared<std::exception_ptr>();
  auto start = [&](VoidHandler handler) {
    // No slot: a cancel signal emitted here would race with the coroutine there.
    auto home = asio::prefer(handler.get_executor(), asio::execution::outstanding_work.tracked);
    asio::post(where, [where, work = std::move(work), visit = Visit{std::move(handler), home, error}]() mutable {
      asio::co_spawn(where, std::move(work), std::move(visit));
    });
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(start, asio::use_awaitable);
  if (*error) std::rethrow_exception(*error);
}

asio::awaitable<void> detail::run_on_pool(BlockingPool& pool, void (*job)(void*), void* argument) {
  struct Node final : PoolNode {
    Node(void (*j)(void*), void* a) : call(j), arg(a) {}
    void execute() noexcept override {
      call(arg);
      back.deliver();
    }
    void (*call)(void*);
    void* arg;
    Inbox::Letter back;
  } node(job, argument);
  co_await node.back.wait([&pool, &node] { pool.submit(node); });
}

namespace {

/// The operations of one fan_out. Everything happens on the parent's executor.
struct FanOut {
  struct Child {
    asio::awaitable<void> work;
    asio::cancellation_signal cancel;
    bool running = false;
  };
  std::deque<Child> children;
  std::size_t next = 0, running = 0;
  bool stopped = false, cancelled = false;
  std::error_code error;
  std::exception_ptr thrown;

  void stop() {
    if (std::exchange(stopped, true)) return;
    for (auto& child : children) {
      if (child.running) child.cancel.emit(asio::cancellation_type::terminal);
    }
  }
  void fail(std::error_code why) {
    if (!error) error = why;
    stop();
  }
  void fail(std::exception_ptr why) {
    if (!thrown && !(stopped && is_abort(why))) thrown = std::move(why);
    stop();
  }
};

asio::awaitable<void> run_child(FanOut& all, FanOut::Child& self, Async<void> op) {
  auto result = co_await std::move(op);
  self.running = false;  // past cancelling: one that ends before its first suspension must not be cancelled by itself
  if (!result) all.fail(result.error());
}

using SharedHandler = std::shared_ptr<VoidHandler>;

void start_more(const std::shared_ptr<FanOut>& all, const SharedHandler& back, const asio::any_io_executor& here,
                std::size_t limit) {
  while (!all->stopped && all->running < limit && all->next < all->children.size()) {
    auto& child = all->children[all->next++];
    child.running = true;
    ++all->running;
    auto ended = [all, back, &child, here, limit](std::exception_ptr thrown) {
      child.running = false;
      --all->running;
      if (thrown) all->fail(std::move(thrown));
      start_more(all, back, here, limit);
      if (all->running == 0) std::move (*back)();
    };
    auto work = std::move(child.work);
    asio::co_spawn(here, std::move(work), asio::bind_cancellation_slot(child.cancel.slot(), std::move(ended)));
  }
}

}  // namespace

Async<void> fan_out(std::vector<Async<void>> ops, std::size_t limit) {
  if (ops.empty()) co_return Result<void>{};
  auto here = co_await asio::this_coro::executor;
  auto already = co_await asio::this_coro::cancellation_state;
  if (already.cancelled() != asio::cancellation_type::none) co_return posix(ECANCELED);
  auto all = std::make_shared<FanOut>();
  for (auto& op : ops) {
    auto& child = all->children.emplace_back();
    child.work = run_child(*all, child, std::move(op));
  }
  auto start = [&all, &here, limit](VoidHandler handler) {
    auto slot = asio::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) {
      slot.assign([weak = std::weak_ptr(all)](asio::cancellation_type) {
        auto alive = weak.lock();
        if (!alive) return;
        alive->cancelled = true;
        alive->stop();
      });
    }
    auto back = std::make_shared<VoidHandler>(std::move(handler));
    start_more(all, back, here, std::max<std::size_t>(limit, 1));
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(start, asio::use_awaitable);
  if (all->thrown) std::rethrow_exception(all->thrown);
  if (all->error) co_return all->error;
  if (all->cancelled) co_return posix(ECANCELED);
  co_return Result<void>{};
}

asio::awaitable<void> sleep_for(std::chrono::nanoseconds time) {
  asio::steady_timer timer(co_await asio::this_coro::executor, time);
  co_await timer.async_wait(asio::use_awaitable);
}

}  // namespace kiseki
