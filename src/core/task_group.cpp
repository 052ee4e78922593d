#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/system/system_error.hpp>
#include <cassert>
#include <mutex>

#include "core/async.hpp"
#include "core/log.hpp"
#include "core/waiter.hpp"

namespace kiseki {
namespace {

struct Task : boost::intrusive::list_base_hook<> {
  explicit Task(asio::any_io_executor executor) : where(std::move(executor)) {}
  asio::any_io_executor where;
  asio::awaitable<void> work;
  // The rest is touched on `where` only.
  asio::cancellation_signal cancel;
  bool cancelled = false;
  bool ended = false;
  std::shared_ptr<Task> self;  // while linked in the group (guarded by the group's mutex)
};

void log_bug(std::exception_ptr error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    log::error("task.bug", {{"what", e.what()}});
  } catch (...) {
    log::error("task.bug", {{"what", "not a std::exception"}});
  }
}

bool is_abort(std::exception_ptr error) {
  try {
    std::rethrow_exception(error);
  } catch (const boost::system::system_error& e) {
    return e.code() == asio::error::operation_aborted;
  } catch (...) {
    return false;
  }
}

}  // namespace

struct TaskGroup::State {
  struct Joiner;
  explicit State(asio::any_io_executor executor) : home(std::move(executor)) {}
  const asio::any_io_executor home;
  mutable std::mutex mutex;  // guards what follows
  boost::intrusive::list<Task> tasks;
  detail::WaiterQueue joiners;
  bool closed = false;

  bool add(const std::shared_ptr<Task>& task) {
    std::lock_guard lock(mutex);
    if (closed) return false;
    task->self = task;
    tasks.push_back(*task);
    return true;
  }

  void remove(Task& task) {
    std::shared_ptr<Task> last;  // released after the lock
    detail::WaiterQueue woken;
    {
      std::lock_guard lock(mutex);
      tasks.erase(tasks.iterator_to(task));
      last = std::move(task.self);
      if (!tasks.empty()) return;
      for (auto it = joiners.begin(); it != joiners.end();) {
        auto& joiner = *it;
        it = joiners.erase(it);
        if (joiner.claim()) woken.push_back(joiner);
      }
    }
    while (!woken.empty()) {
      auto& joiner = woken.front();
      woken.pop_front();
      joiner.resume(true);
    }
  }

  /// Each task is cancelled on its own executor, the only place where its signal may be touched.
  void cancel_all() {
    std::lock_guard lock(mutex);
    closed = true;
    for (auto& task : tasks) {
      asio::post(task.where, [task = task.self] {
        task->cancelled = true;
        if (!task->ended) task->cancel.emit(asio::cancellation_type::terminal);
      });
    }
  }
};

namespace {

/// The completion handler of a task. Destroyed without being called (its loop was destroyed), it still leaves the
/// group.
template <class State>
class Ending {
 public:
  Ending(std::shared_ptr<State> group, std::shared_ptr<Task> task) : group_(std::move(group)), task_(std::move(task)) {}
  Ending(Ending&&) noexcept = default;
  Ending& operator=(Ending&&) = delete;
  ~Ending() {
    if (group_) group_->remove(*task_);
  }
  void operator()(std::exception_ptr error) {
    task_->ended = true;
    if (error && !(task_->cancelled && is_abort(error))) log_bug(error);
    std::exchange(group_, nullptr)->remove(*task_);
  }

 private:
  std::shared_ptr<State> group_;
  std::shared_ptr<Task> task_;
};

/// Whether this thread runs the executor's loop now; cheaper than `dispatch`.
bool is_here(const asio::any_io_executor& executor) {
  auto* loop = executor.target<asio::io_context::executor_type>();
  return loop && loop->running_in_this_thread();
}

/// On the task's executor.
template <class State>
void launch(std::shared_ptr<Task> task, Ending<State> ending) {
  if (task->cancelled) return;
  auto work = std::move(task->work);
  asio::co_spawn(task->where, std::move(work), asio::bind_cancellation_slot(task->cancel.slot(), std::move(ending)));
}

}  // namespace

TaskGroup::TaskGroup(asio::any_io_executor home) : state_(std::make_shared<State>(std::move(home))) {}

TaskGroup::~TaskGroup() {
  if (!state_ || running() == 0) return;
  log::error("task_group.bug", {{"what", "destroyed while tasks run"}, {"running", running()}});
  assert(false && "TaskGroup destroyed while tasks run: await close() first");
}

void TaskGroup::spawn(asio::awaitable<void> work) { spawn(state_->home, std::move(work)); }

void TaskGroup::spawn(asio::any_io_executor where, asio::awaitable<void> work) {
  auto task = std::allocate_shared<Task>(asio::recycling_allocator<Task>(), std::move(where));
  task->work = std::move(work);
  if (!state_->add(task)) return;
  Ending<State> ending(state_, task);
  auto& executor = task->where;
  if (is_here(executor)) return launch(std::move(task), std::move(ending));
  asio::post(executor, [task, ending = std::move(ending)]() mutable { launch(std::move(task), std::move(ending)); });
}

std::size_t TaskGroup::running() const {
  std::lock_guard lock(state_->mutex);
  return state_->tasks.size();
}

/// A coroutine's place among those who wait for the end.
struct TaskGroup::State::Joiner {
  explicit Joiner(State& s) : state(s) {}
  ~Joiner() {
    std::lock_guard lock(state.mutex);
    if (waiter.queue_hook.is_linked()) state.joiners.erase(state.joiners.iterator_to(waiter));
  }
  /// False when cancelled.
  asio::awaitable<bool> wait(bool cancellable) {
    return detail::park(
        waiter,
        [this] {
          std::unique_lock lock(state.mutex);
          if (!state.tasks.empty()) return state.joiners.push_back(waiter);
          lock.unlock();
          if (waiter.claim()) waiter.resume(true);
        },
        cancellable);
  }
  State& state;
  detail::Waiter waiter;
};

asio::awaitable<void> TaskGroup::join() {
  auto state = state_;
  auto already = co_await asio::this_coro::cancellation_state;
  auto cancelled = already.cancelled() != asio::cancellation_type::none;
  State::Joiner joiner(*state);
  if (cancelled || !co_await joiner.wait(true)) {
    throw boost::system::system_error(asio::error::operation_aborted, "TaskGroup::join");
  }
}

asio::awaitable<void> TaskGroup::close() {
  auto state = state_;
  state->cancel_all();
  // Half a close would leave coroutines that refer to what is about to be destroyed: nothing cancels this wait.
  State::Joiner joiner(*state);
  co_await joiner.wait(false);
}

}  // namespace kiseki
