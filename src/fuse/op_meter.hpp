#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "core/metrics.hpp"

namespace kiseki::fuse {

/// Counts answered requests by JuiceFS's names of operations, how long they took and how they failed. Any thread; a
/// few atomic additions per request.
class OpMeter {
 public:
  static OpMeter& of_process();

  /// `error`: 0 or the errno that was sent.
  void answered(std::uint32_t opcode, int error, std::chrono::nanoseconds took) noexcept;
  void read(std::uint64_t bytes) noexcept { all_.fuse_read_size.observe(static_cast<double>(bytes)); }
  void written(std::uint64_t bytes) noexcept { all_.fuse_written_size.observe(static_cast<double>(bytes)); }

 private:
  OpMeter();
  void failed(int error);

  struct Op {
    metrics::Counter* count = nullptr;
    metrics::TimeCounter* seconds = nullptr;
  };
  metrics::Catalog& all_ = metrics::all();
  std::array<Op, 64> ops_{};                                  // by opcode; empty ones are not counted
  std::array<std::atomic<metrics::Counter*>, 134> errors_{};  // by errno; found at its first appearance
};

}  // namespace kiseki::fuse
