#pragma once

#include <atomic>
#include <chrono>
#include <optional>

namespace kiseki::cli {

/// What the main thread of a serving process waits for: signals that end it, and what its loops report. Block the
/// signals before any thread starts: make this first.
class ProcessEvents {
 public:
  ProcessEvents();  ///< blocks SIGTERM, SIGINT, SIGHUP and ignores SIGPIPE; throws std::system_error
  ~ProcessEvents();
  ProcessEvents(const ProcessEvents&) = delete;

  /// Wakes the waiting thread. Any thread.
  void notify() noexcept;
  /// The next signal, or 0 when only woken; nothing when `limit` has passed. Negative: no limit.
  std::optional<int> wait(std::chrono::milliseconds limit);

 private:
  int signals_ = -1, wake_ = -1;
};

}  // namespace kiseki::cli
