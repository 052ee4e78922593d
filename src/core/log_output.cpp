#include "core/log_output.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#include "core/log.hpp"

namespace kiseki::log {

Output::Output(const std::string& path) {
  if (path.empty()) return;
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd_ < 0) throw std::runtime_error(std::error_code(errno, std::generic_category()).message());
}

Output::~Output() {
  if (fd_ != STDERR_FILENO) ::close(fd_);
}

void Output::write(std::string_view line) const noexcept {
  while (!line.empty()) {
    auto n = ::write(fd_, line.data(), line.size());
    if (n > 0) line.remove_prefix(static_cast<std::size_t>(n));
    if (n >= 0 || errno == EINTR) continue;
    if (errno != EAGAIN) return;
    pollfd room{fd_, POLLOUT, 0};
    ::poll(&room, 1, -1);
  }
}

/// What the thread and those who log share. Outlives its Background when the thread is stuck in a write.
class LineQueue {
 public:
  void add(const OutputPtr& output, std::string_view text) {
    std::lock_guard lock(mutex_);
    if (lines_.size() >= Background::kMostLines) {
      ++dropped_;
      return;
    }
    lines_.push_back({output, std::string(text)});
    changed_.notify_all();
  }

  /// The thread: until it is told to end and has written everything.
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return ending_ || !lines_.empty(); });
      if (lines_.empty()) break;
      Line line = std::move(lines_.front());
      lines_.pop_front();
      auto lost = lines_.empty() ? std::exchange(dropped_, 0) : 0;
      lock.unlock();
      line.output->write(line.text);
      if (lost > 0) warn("log.lines_dropped", {{"lines", lost}});
      lock.lock();
    }
    ended_ = true;
    changed_.notify_all();
  }

  /// False: the thread is still writing when `limit` is over.
  bool end(std::chrono::milliseconds limit) {
    std::unique_lock lock(mutex_);
    ending_ = true;
    changed_.notify_all();
    return changed_.wait_for(lock, limit, [&] { return ended_; });
  }

  /// For a signal handler: nothing is allocated, and nobody is waited for.
  void write_in_crash() noexcept {
    if (!mutex_.try_lock()) return;
    for (const auto& line : lines_) line.output->write(line.text);
    mutex_.unlock();
  }

 private:
  struct Line {
    OutputPtr output;
    std::string text;
  };
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<Line> lines_;
  std::size_t dropped_ = 0;
  bool ending_ = false, ended_ = false;
};

namespace {

constexpr auto kLongestEnd = std::chrono::seconds(2);
constexpr unsigned kLongestCrash = 2;  // seconds
constexpr int kCrashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

std::mutex g_mutex;  // guards g_queue
std::shared_ptr<LineQueue> g_queue;
std::atomic<LineQueue*> g_in_crash{nullptr};

void crashed(int signal) {
  ::alarm(kLongestCrash);  // a pipe that nobody reads must not keep a dead process
  if (auto* queue = g_in_crash.exchange(nullptr)) queue->write_in_crash();
  ::raise(signal);  // the handler is gone already: now it ends the process
}

/// Where nobody else (a sanitizer) listens.
void listen_for_crashes() {
  for (int number : kCrashes) {
    struct sigaction now{};
    if (::sigaction(number, nullptr, &now) != 0 || now.sa_handler != SIG_DFL) continue;
    now.sa_handler = crashed;
    now.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
    ::sigaction(number, &now, nullptr);
  }
}

}  // namespace

Background::Background() : queue_(std::make_shared<LineQueue>()) {
  std::thread([queue = queue_] {
    ::pthread_setname_np(::pthread_self(), "log");
    queue->run();
  }).detach();
  g_in_crash = queue_.get();
  listen_for_crashes();
  std::lock_guard lock(g_mutex);
  g_queue = queue_;
}

Background::~Background() {
  {
    std::lock_guard lock(g_mutex);
    g_queue.reset();
  }
  g_in_crash = nullptr;
  (void)queue_->end(kLongestEnd);  // else the thread is stuck: it keeps its queue, and ends with the process
}

bool queue_line(const OutputPtr& output, std::string_view line) {
  std::shared_ptr<LineQueue> queue;
  {
    std::lock_guard lock(g_mutex);
    queue = g_queue;
  }
  if (!queue) return false;
  queue->add(output, line);
  return true;
}

}  // namespace kiseki::log
