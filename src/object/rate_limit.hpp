#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <mutex>

namespace kiseki::object {

namespace asio = boost::asio;

/// A token bucket that lends: who takes more than there is goes at once, and those after it wait until the debt is
/// paid. Holds a tenth of a second's worth. Any loop; first come, first served.
class RateLimit {
 public:
  using SteadyClock = std::chrono::steady_clock;
  explicit RateLimit(std::uint64_t bytes_per_second = 0) : per_second_(bytes_per_second) {}
  bool on() const { return per_second_.load(std::memory_order_relaxed) > 0; }
  /// For those who come from now on; 0: no limit.
  void set(std::uint64_t bytes_per_second);
  /// When `bytes` may go, if they are asked for at `now`; they are counted.
  SteadyClock::time_point reserve(std::uint64_t bytes, SteadyClock::time_point now);
  void give_back(std::uint64_t bytes);  ///< reserved but not used after all
  /// Waits until they may; throws when cancelled, and then they are not counted.
  asio::awaitable<void> take(std::uint64_t bytes);

 private:
  SteadyClock::duration cost_of(std::uint64_t bytes) const;
  std::atomic<std::uint64_t> per_second_;
  std::mutex mutex_;  // guards paid_until_
  SteadyClock::time_point paid_until_{};
};

/// How fast a store may be used; may change while it is. Any thread.
struct Rates {
  RateLimit upload, download;
};

/// Bytes per second of a limit in Mbit/s. As JuiceFS, 15 % are left for what surrounds the objects' bytes.
constexpr std::uint64_t bytes_per_second(std::int64_t megabits) {
  return megabits <= 0 ? 0 : static_cast<std::uint64_t>(megabits) * 1'000'000 / 8 * 85 / 100;
}

}  // namespace kiseki::object
