#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>

namespace kiseki {

/// A point in time as files carry it. Seconds may be negative; nanoseconds always count forward, 0..999,999,999.
struct Timestamp {
  std::int64_t sec = 0;
  std::uint32_t nsec = 0;
  friend constexpr auto operator<=>(Timestamp, Timestamp) = default;
};

/// Wall clock of a volume, injectable. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Timestamp now() const = 0;
};

class SystemClock final : public Clock {
 public:
  Timestamp now() const override {
    timespec ts{};
    ::clock_gettime(CLOCK_REALTIME, &ts);
    return {ts.tv_sec, static_cast<std::uint32_t>(ts.tv_nsec)};
  }
};

/// Stands still until told; starts at 2026-01-01 UTC. Thread-safe.
class ManualClock final : public Clock {
 public:
  Timestamp now() const override {
    auto ns = ns_.load();
    return {ns / 1'000'000'000, static_cast<std::uint32_t>(ns % 1'000'000'000)};
  }
  void advance(std::chrono::nanoseconds by) { ns_ += by.count(); }

 private:
  std::atomic<std::int64_t> ns_{1'767'225'600'000'000'000};
};

}  // namespace kiseki
