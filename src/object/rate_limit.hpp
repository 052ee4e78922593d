#pragma once

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
  explicit RateLimit(std::uint64_t bytes_per_second) : per_second_(bytes_per_second) {}
  bool on() const { return per_second_ > 0; }
  /// When `bytes` may go, if they are asked for at `now`; they are counted.
  SteadyClock::time_point reserve(std::uint64_t bytes, SteadyClock::time_point now);
  void give_back(std::uint64_t bytes);  ///< reserved but not used after all
  /// Waits until they may; throws when cancelled, and then they are not counted.
  asio::awaitable<void> take(std::uint64_t bytes);

 private:
  SteadyClock::duration cost_of(std::uint64_t bytes) const;
  const std::uint64_t per_second_;
  std::mutex mutex_;  // guards paid_until_
  SteadyClock::time_point paid_until_{};
};

/// Bytes per second of a limit in Mbit/s. As JuiceFS, 15 % are left for what surrounds the objects' bytes.
constexpr std::uint64_t bytes_per_second(std::int64_t megabits) {
  return megabits <= 0 ? 0 : static_cast<std::uint64_t>(megabits) * 1'000'000 / 8 * 85 / 100;
}

}  // namespace kiseki::object
