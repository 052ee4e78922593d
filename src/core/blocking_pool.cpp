#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/pool_node.hpp"
#include "core/runtime.hpp"

namespace kiseki {
namespace {

constexpr int kAnyCpu = -1;

/// Those of the process: of its main thread, for whoever makes a pool may be pinned.
cpu_set_t usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  ::sched_getaffinity(::getpid(), sizeof set, &set);
  return set;
}

struct Worker {
  std::condition_variable called;
  bool idle = false;   // guarded by the pool's mutex, as is `cpu`
  int cpu = kAnyCpu;   // the only one it may run on
  std::thread thread;  // last: it uses the rest
};

}  // namespace

// The queue is an intrusive list: its length is bounded by the coroutines that wait in `run_blocking`.
struct BlockingPool::State {
  std::string name;
  const cpu_set_t usable = usable_cpus();
  std::mutex mutex;  // guards what follows
  detail::PoolNode* first = nullptr;
  detail::PoolNode** last = &first;
  bool stopping = false;
  std::vector<std::unique_ptr<Worker>> workers;

  /// The only job there is runs beside whoever submitted it and is about to wait: waking another, sleeping CPU would
  /// take longer than most jobs. With several, each goes where there is room.
  void push(detail::PoolNode& node) {
    Worker* worker = nullptr;
    {
      std::lock_guard lock(mutex);
      assert(!stopping);
      bool alone = !first && std::all_of(workers.begin(), workers.end(), [](auto& one) { return one->idle; });
      *last = &node;
      last = &node.next;
      worker = call(alone ? ::sched_getcpu() : kAnyCpu);
    }
    if (worker) worker->called.notify_one();
  }

  /// Under the mutex. Null: all are busy, the first to end takes the job.
  Worker* call(int cpu) {
    Worker* chosen = nullptr;
    for (auto& worker : workers) {
      if (!worker->idle) continue;
      chosen = worker.get();
      if (worker->cpu == cpu) break;
    }
    if (!chosen) return nullptr;
    chosen->idle = false;
    if (chosen->cpu != cpu && stay_on(*chosen, cpu)) chosen->cpu = cpu;
    return chosen;
  }

  bool stay_on(Worker& worker, int cpu) const {
    auto set = usable;
    if (cpu != kAnyCpu) {
      if (cpu < 0 || cpu >= CPU_SETSIZE) return false;
      CPU_ZERO(&set);
      CPU_SET(cpu, &set);
    }
    return ::pthread_setaffinity_np(worker.thread.native_handle(), sizeof set, &set) == 0;
  }

  /// The next job, or nullptr when the pool ends and the queue is empty.
  detail::PoolNode* pop(Worker& self) {
    std::unique_lock lock(mutex);
    while (!first) {
      if (stopping) return nullptr;
      self.idle = true;
      self.called.wait(lock, [&] { return !self.idle || stopping; });
    }
    auto* node = first;
    first = node->next;
    if (!first) last = &first;
    node->next = nullptr;
    return node;
  }

  void work(Worker& self) {
    ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());
    while (auto* node = pop(self)) node->execute();
  }
};

namespace {

struct FunctionNode final : detail::PoolNode {
  explicit FunctionNode(std::function<void()> j) : job(std::move(j)) {}
  void execute() noexcept override {
    job();
    delete this;
  }
  std::function<void()> job;
};

}  // namespace

BlockingPool::BlockingPool(std::string name, unsigned threads) : state_(std::make_unique<State>()) {
  assert(threads > 0);
  state_->name = std::move(name);
  std::lock_guard lock(state_->mutex);  // none is called before all are there
  for (unsigned i = 0; i < threads; ++i) {
    auto& worker = *state_->workers.emplace_back(std::make_unique<Worker>());
    worker.thread = std::thread([state = state_.get(), &worker] { state->work(worker); });
    state_->stay_on(worker, kAnyCpu);
  }
}

BlockingPool::~BlockingPool() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  for (auto& worker : state_->workers) worker->called.notify_one();
  for (auto& worker : state_->workers) worker->thread.join();
}

void BlockingPool::submit(std::function<void()> job) { state_->push(*new FunctionNode(std::move(job))); }

void BlockingPool::submit(detail::PoolNode& node) { state_->push(node); }

const std::string& BlockingPool::name() const { return state_->name; }

}  // namespace kiseki
