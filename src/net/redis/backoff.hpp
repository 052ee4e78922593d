#pragma once

#include <algorithm>
#include <chrono>
#include <random>

namespace kiseki::net::redis {

/// How long to wait before the next try: doubles from `first` to `longest`, between half of it and all of it by chance,
/// so that many clients do not come back at once.
class Backoff {
 public:
  using Time = std::chrono::milliseconds;
  Backoff(Time first, Time longest) : first_(first), longest_(std::max(first, longest)), next_(first) {}
  Time next() {
    auto all = next_;
    next_ = std::min(2 * next_, longest_);
    return jittered(all);
  }
  void reset() { next_ = first_; }
  /// The wait before try number `tries` + 1, without a memory of its own.
  static Time nth(Time first, Time longest, unsigned tries) {
    return jittered(std::min(first * (1u << std::min(tries, 20u)), std::max(first, longest)));
  }

 private:
  static Time jittered(Time all) {
    thread_local std::minstd_rand chance{std::random_device()()};
    std::uniform_int_distribution<Time::rep> part(all.count() / 2, std::max<Time::rep>(all.count(), 1));
    return Time(part(chance));
  }
  Time first_, longest_, next_;
};

}  // namespace kiseki::net::redis
