#include "core/runtime.hpp"

#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <cassert>
#include <exception>
#include <future>
#include <map>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/log.hpp"

namespace kiseki {
namespace {

thread_local int t_loop = -1;

/// An io_context whose handlers can be destroyed before the object is: coroutines of one loop may refer to another.
class LoopContext final : public asio::io_context {
 public:
  LoopContext() : asio::io_context(1) {}
  void destroy_handlers() { asio::execution_context::shutdown(); }
};

struct Loop {
  explicit Loop(int on_cpu) : cpu(on_cpu), guard(context.get_executor()) {}
  int cpu;  // -1: not pinned
  LoopContext context;
  asio::executor_work_guard<asio::io_context::executor_type> guard;
  std::thread thread;
};

/// CPUs this process may run on; at least one.
std::vector<int> usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
  }
  if (cpus.empty()) cpus.push_back(-1);
  return cpus;
}

void pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  // A CPU taken away meanwhile (hotplug, cgroup) costs speed, nothing else.
  if (::pthread_setaffinity_np(::pthread_self(), sizeof set, &set) != 0) log::warn("runtime.pin", {{"cpu", cpu}});
}

void run_loop(Loop& loop, int index) {
  ::pthread_setname_np(::pthread_self(), fmt::format("kiseki-loop-{}", index).c_str());
  if (loop.cpu >= 0) pin_to(loop.cpu);
  t_loop = index;
  while (true) {
    try {
      loop.context.run();
      break;
    } catch (const std::exception& e) {
      log::error("runtime.bug", {{"loop", index}, {"what", e.what()}});  // a handler threw: the loop goes on without it
    } catch (...) {
      log::error("runtime.bug", {{"loop", index}, {"what", "not a std::exception"}});
    }
  }
  t_loop = -1;
}

}  // namespace

struct Runtime::State {
  std::vector<std::unique_ptr<Loop>> loops;
  std::mutex mutex;  // guards `pools` and `started`
  std::map<std::string, std::unique_ptr<BlockingPool>, std::less<>> pools;
  bool started = false;
};

Runtime::Runtime(Options options) : state_(std::make_unique<State>()) {
  auto cpus = usable_cpus();
  auto count = options.loops ? options.loops : static_cast<unsigned>(cpus.size());
  for (unsigned i = 0; i < count; ++i) {
    state_->loops.push_back(std::make_unique<Loop>(options.pin ? cpus[i % cpus.size()] : -1));
  }
}

Runtime::~Runtime() {
  stop();
  state_->pools.clear();  // jobs in flight end and post to loops that will not run them
  for (auto& loop : state_->loops) loop->context.destroy_handlers();
}

void Runtime::start() {
  std::lock_guard lock(state_->mutex);
  assert(!state_->started);
  state_->started = true;
  for (unsigned i = 0; i < loops(); ++i) {
    auto& loop = *state_->loops[i];
    loop.thread = std::thread([&loop, i] { run_loop(loop, static_cast<int>(i)); });
  }
}

void Runtime::stop() noexcept {
  assert(current_loop() < 0);
  for (auto& loop : state_->loops) loop->context.stop();
  for (auto& loop : state_->loops) {
    if (loop->thread.joinable()) loop->thread.join();
  }
}

unsigned Runtime::loops() const { return static_cast<unsigned>(state_->loops.size()); }
asio::io_context& Runtime::loop(unsigned index) { return state_->loops.at(index)->context; }
asio::any_io_executor Runtime::executor(unsigned index) { return loop(index).get_executor(); }
int Runtime::current_loop() noexcept { return t_loop; }
void Runtime::post(unsigned index, std::function<void()> job) { asio::post(loop(index), std::move(job)); }

BlockingPool& Runtime::pool(std::string_view name, unsigned threads) {
  std::lock_guard lock(state_->mutex);
  auto found = state_->pools.find(name);
  if (found == state_->pools.end()) {
    found = state_->pools.emplace(name, std::make_unique<BlockingPool>(std::string(name), threads)).first;
  }
  return *found->second;
}

bool io_backend_usable() {
#if defined(BOOST_ASIO_HAS_IO_URING) && defined(BOOST_ASIO_DISABLE_EPOLL)
  io_uring_params params{};
  auto fd = ::syscall(SYS_io_uring_setup, 1, &params);
  if (fd < 0) return false;
  ::close(static_cast<int>(fd));
#endif
  return true;
}

void detail::run_and_wait(asio::any_io_executor where, asio::awaitable<void> work) {
  assert(Runtime::current_loop() < 0);
  // Shared with the handler: when the loop is destroyed instead of running it, the promise breaks and this throws.
  auto done = std::make_shared<std::promise<void>>();
  auto ended = done->get_future();
  asio::co_spawn(where, std::move(work), [done = std::move(done)](std::exception_ptr error) {
    error ? done->set_exception(error) : done->set_value();
  });
  ended.get();
}

}  // namespace kiseki
