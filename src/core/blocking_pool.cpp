#include <pthread.h>

#include <cassert>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "core/pool_node.hpp"
#include "core/runtime.hpp"

namespace kiseki {

// The queue is an intrusive list: its length is bounded by the coroutines that wait in `run_blocking`.
struct BlockingPool::State {
  std::string name;
  std::mutex mutex;  // guards the queue and `stopping`
  std::condition_variable more;
  detail::PoolNode* first = nullptr;
  detail::PoolNode** last = &first;
  bool stopping = false;
  std::vector<std::thread> threads;

  void push(detail::PoolNode& node) {
    {
      std::lock_guard lock(mutex);
      assert(!stopping);
      *last = &node;
      last = &node.next;
    }
    more.notify_one();
  }

  /// The next job, or nullptr when the pool ends and the queue is empty.
  detail::PoolNode* pop() {
    std::unique_lock lock(mutex);
    more.wait(lock, [this] { return first || stopping; });
    auto* node = first;
    if (!node) return nullptr;
    first = node->next;
    if (!first) last = &first;
    node->next = nullptr;
    return node;
  }

  void work() {
    ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());
    while (auto* node = pop()) node->execute();
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
  for (unsigned i = 0; i < threads; ++i) state_->threads.emplace_back([state = state_.get()] { state->work(); });
}

BlockingPool::~BlockingPool() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->more.notify_all();
  for (auto& thread : state_->threads) thread.join();
}

void BlockingPool::submit(std::function<void()> job) { state_->push(*new FunctionNode(std::move(job))); }

void BlockingPool::submit(detail::PoolNode& node) { state_->push(node); }

const std::string& BlockingPool::name() const { return state_->name; }

}  // namespace kiseki
