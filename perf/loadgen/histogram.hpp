#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace loadgen {

/// Latencies in nanoseconds, kept in buckets 1/32 of their power of two wide: quantiles are right to about 3 %.
class Histogram {
 public:
  void add(std::uint64_t nanoseconds) { ++buckets_[bucket_of(nanoseconds)]; }

  void merge(const Histogram& other) {
    for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  }

  /// The latency below which `share` (0..1) of all values lie, in microseconds; 0 when nothing was added.
  double quantile_us(double share) const {
    std::uint64_t total = 0;
    for (auto count : buckets_) total += count;
    const double wanted = share * static_cast<double>(total);
    double passed = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      passed += static_cast<double>(buckets_[i]);
      if (buckets_[i] != 0 && passed >= wanted) return middle_of(i) / 1000.0;
    }
    return 0;
  }

 private:
  static constexpr unsigned kBits = 5;  // 32 buckets per power of two
  static constexpr std::size_t kFine = std::size_t{1} << kBits;

  static std::size_t bucket_of(std::uint64_t value) {
    if (value < kFine) return static_cast<std::size_t>(value);
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kBits;
    return (static_cast<std::size_t>(shift) + 1) * kFine + static_cast<std::size_t>((value >> shift) & (kFine - 1));
  }

  static double middle_of(std::size_t bucket) {
    if (bucket < kFine) return static_cast<double>(bucket);
    const std::size_t shift = bucket / kFine - 1;
    return (static_cast<double>(bucket % kFine + kFine) + 0.5) * static_cast<double>(std::uint64_t{1} << shift);
  }

  std::array<std::uint64_t, (64 - kBits + 1) * kFine> buckets_{};
};

}  // namespace loadgen
