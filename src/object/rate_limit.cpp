#include "object/rate_limit.hpp"

#include <algorithm>

#include "core/async.hpp"

namespace kiseki::object {

RateLimit::SteadyClock::time_point RateLimit::reserve(std::uint64_t bytes, SteadyClock::time_point now) {
  constexpr auto kBurst = std::chrono::milliseconds(100);
  auto cost = std::chrono::duration<double>(static_cast<double>(bytes) / static_cast<double>(per_second_));
  std::lock_guard lock(mutex_);
  auto start = std::max(paid_until_, now - kBurst);
  paid_until_ = start + std::chrono::duration_cast<SteadyClock::duration>(cost);
  return start;
}

asio::awaitable<void> RateLimit::take(std::uint64_t bytes) {
  auto now = SteadyClock::now();
  auto start = reserve(bytes, now);
  if (start > now) co_await sleep_for(start - now);
}

}  // namespace kiseki::object
