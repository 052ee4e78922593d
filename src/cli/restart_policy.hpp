#pragma once

#include <algorithm>
#include <chrono>
#include <deque>
#include <optional>

namespace kiseki::cli {

/// How long a supervisor waits before the next worker, and when it is enough: three crashes within ten seconds, or ten
/// minutes in which none could start. A start fails as long as a database is away, so it is tried again with pauses
/// from one second to thirty; a crash is answered at once.
class RestartPolicy {
 public:
  using Clock = std::chrono::steady_clock;
  using Pause = std::optional<std::chrono::milliseconds>;  ///< nothing: give up

  /// A worker serves.
  void serves() { failing_since_.reset(); }

  /// A worker was ended by a signal.
  Pause crashed(Clock::time_point now) {
    crashes_.push_back(now);
    while (now - crashes_.front() > kCrashWindow) crashes_.pop_front();
    if (crashes_.size() >= kMostCrashes) return std::nullopt;
    return std::chrono::milliseconds(0);
  }

  /// A worker ended before it served.
  Pause failed_to_start(Clock::time_point now) {
    if (!failing_since_) failing_since_ = now, pause_ = kShortestPause;
    if (now - *failing_since_ >= kPatience) return std::nullopt;
    auto out = pause_;
    pause_ = std::min(2 * pause_, kLongestPause);
    return out;
  }

 private:
  static constexpr std::size_t kMostCrashes = 3;
  static constexpr std::chrono::seconds kCrashWindow{10}, kPatience{600};
  static constexpr std::chrono::milliseconds kShortestPause{1000}, kLongestPause{30'000};
  std::deque<Clock::time_point> crashes_;
  std::optional<Clock::time_point> failing_since_;
  std::chrono::milliseconds pause_ = kShortestPause;
};

}  // namespace kiseki::cli
