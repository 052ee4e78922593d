#include <algorithm>

#include "meta/op_timer.hpp"
#include "meta/ops/common.hpp"

namespace kiseki::meta {

namespace {

/// Sizes of a volume without limits look roomy to programs that check (JuiceFS tools.md section 5): they double until
/// something is free. Beyond this nothing is counted (count_in_volume), and what a damaged counter says is all there
/// is.
constexpr std::uint64_t kLargest = std::uint64_t{1} << 62;

std::uint64_t roomy_bytes(std::uint64_t used) {
  auto total = std::uint64_t{1} << 50;
  while (total < kLargest && total - (total + 4) / 5 < used) total *= 2;  // four fifths of it, rounded down
  return std::max(total, used);
}

std::uint64_t roomy_inodes(std::uint64_t used) {
  auto available = std::uint64_t{10} << 20;
  while (available < kLargest && used / 4 + (used % 4 != 0) > available) available *= 2;
  return available;
}

}  // namespace

Async<VolumeUsage> usage(Client& client) {
  OpTimer timer(OpName::statfs);
  Keys keys{CounterKey{Counter::used_space}, CounterKey{Counter::total_inodes}};
  CO_TRY(auto records, co_await client.fetch(std::move(keys)));
  auto value = [&](std::size_t i) -> std::uint64_t {
    auto* found = std::get_if<std::int64_t>(&records[i]);
    return found && *found > 0 ? static_cast<std::uint64_t>(*found) : 0;
  };
  auto format = client.format();
  VolumeUsage result;
  result.used_bytes = value(0);
  result.used_inodes = value(1);
  auto used = result.used_bytes;
  result.total_bytes = format->capacity > 0 ? std::max(format->capacity, used) : roomy_bytes(used);
  result.available_bytes = result.total_bytes - result.used_bytes;
  if (format->inodes > 0)
    result.available_inodes = format->inodes > result.used_inodes ? format->inodes - result.used_inodes : 0;
  else
    result.available_inodes = roomy_inodes(result.used_inodes);
  co_return result;
}

}  // namespace kiseki::meta
