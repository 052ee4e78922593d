#include "object/rate_limit.hpp"

#include <algorithm>

#include "core/async.hpp"

namespace kiseki::object {

RateLimit::SteadyClock::time_point RateLimit::reserve(std::uint64_t bytes, SteadyClock::time_point now) {
  constexpr auto kBurst = std::chrono::milliseconds(100);
  std::lock_guard lock(mutex_);
  auto start = std::max(paid_until_, now - kBurst);
  paid_until_ = start + cost_of(bytes);
  return start;
}

RateLimit::SteadyClock::duration RateLimit::cost_of(std::uint64_t bytes) const {
  auto per_second = per_second_.load(std::memory_order_relaxed);
  if (per_second == 0) return {};
  std::chrono::duration<double> cost(static_cast<double>(bytes) / static_cast<double>(per_second));
  return std::chrono::duration_cast<SteadyClock::duration>(cost);
}

void RateLimit::set(std::uint64_t bytes_per_second) {
  std::lock_guard lock(mutex_);
  if (per_second_.exchange(bytes_per_second) != bytes_per_second) paid_until_ = {};
}

void RateLimit::give_back(std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  paid_until_ -= cost_of(bytes);
}

asio::awaitable<void> RateLimit::take(std::uint64_t bytes) {
  auto now = SteadyClock::now();
  auto start = reserve(bytes, now);
  if (start <= now) co_return;
  try {
    co_await sleep_for(start - now);
  } catch (...) {
    give_back(bytes);
    throw;
  }
}

}  // namespace kiseki::object
