#include <algorithm>

#include "meta/op_timer.hpp"
#include "meta/ops/common.hpp"

namespace kiseki::meta {

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
  // Without limits: sizes that look roomy to programs that check (JuiceFS tools.md section 5).
  if (format->capacity > 0) {
    result.total_bytes = std::max(format->capacity, result.used_bytes);
  } else {
    result.total_bytes = std::uint64_t{1} << 50;
    while (result.total_bytes * 8 < result.used_bytes * 10) result.total_bytes *= 2;
  }
  result.available_bytes = result.total_bytes - result.used_bytes;
  if (format->inodes > 0) {
    result.available_inodes = format->inodes > result.used_inodes ? format->inodes - result.used_inodes : 0;
  } else {
    result.available_inodes = std::uint64_t{10} << 20;
    while (result.used_inodes > result.available_inodes * 4) result.available_inodes *= 2;
  }
  co_return result;
}

}  // namespace kiseki::meta
