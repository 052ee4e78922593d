#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace kiseki {

namespace detail {
struct PoolNode;
}

/// Threads for work that blocks (SQLite, pread on a cache disk, compression of whole blocks). Bounded; thread-safe.
class BlockingPool {
 public:
  BlockingPool(std::string name, unsigned threads);
  ~BlockingPool();  ///< finishes queued work, joins
  BlockingPool(const BlockingPool&) = delete;
  void submit(std::function<void()> job);  ///< runs on a pool thread; must not throw
  void submit(detail::PoolNode& node);     ///< the same without an allocation: the caller keeps `node` until it ran
  const std::string& name() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The loops of a process: one thread per core, each with an io_context of its own on io_uring (never shared by
/// threads), pinned to its CPU. A request runs to its end on the loop where it arrived.
class Runtime {
 public:
  struct Options {
    unsigned loops = 0;  ///< 0: one per CPU this process may use
    bool pin = true;
  };
  explicit Runtime(Options options);
  ~Runtime();  ///< stops and joins
  Runtime(const Runtime&) = delete;

  void start();          ///< starts the threads; once
  void stop() noexcept;  ///< loops finish what runs now and end; joins. Idempotent; not from a loop
  unsigned loops() const;
  asio::io_context& loop(unsigned index);
  asio::any_io_executor executor(unsigned index);
  /// Index of the loop this thread runs, or -1 elsewhere.
  static int current_loop() noexcept;
  /// Runs `job` on a loop, soon, from any thread.
  void post(unsigned index, std::function<void()> job);
  /// The pool of that name, made with `threads` threads at the first call; lives as long as the runtime.
  BlockingPool& pool(std::string_view name, unsigned threads);
  /// Runs a coroutine on loop 0 and blocks the calling (non-loop) thread until it is done: for main() and tests.
  template <class T>
  T wait(asio::awaitable<T> work);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Whether this kernel and sandbox allow io_uring_setup (errno: why not); always true in a build on epoll.
bool io_backend_usable();

}  // namespace kiseki

#include "core/runtime_wait.hpp"
