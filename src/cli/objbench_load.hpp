#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "core/runtime.hpp"
#include "object/store.hpp"

namespace kiseki::cli {

struct LoadOptions {
  std::size_t block_bytes = 4u << 20, small_bytes = 128u << 10;
  std::uint64_t big_count = 256, small_count = 100;
  std::uint64_t threads = 4;  ///< requests at once
  std::uint64_t list_count() const { return std::min<std::uint64_t>(1000, big_count + small_count); }
};

/// How one kind of request went.
struct LoadOutcome {
  std::string title;           ///< "upload objects"
  bool supported = true;       ///< false: no such verb here
  std::uint64_t requests = 0;  ///< made
  double seconds = 0;          ///< for all of them
  double per_second = 0;       ///< in `unit`
  std::string unit;            ///< "MiB/s", "objects/s"
  double cost_ms = 0;          ///< of one object (of one listing)
  std::string cost_unit;       ///< "ms/object"
  std::uint64_t failures = 0;
  std::string error;  ///< the last failure's
  std::vector<double> latencies_ms{};
  /// In milliseconds; 0 when nothing was measured. `share` 0.5 is the median, 1 the longest.
  double latency_ms(double share) const;
};

/// Puts, gets, lists, heads and deletes objects below the store's prefix, on all loops, in JuiceFS's order; answers in
/// the order of its table. Progress is drawn on a terminal.
std::vector<LoadOutcome> load_store(object::ObjectStore& store, Runtime& runtime, const LoadOptions& options);

}  // namespace kiseki::cli
