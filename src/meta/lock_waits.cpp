#include "meta/lock_waits.hpp"

#include <algorithm>
#include <set>

namespace kiseki::meta {

bool LockWaits::leads_to(std::uint64_t from, std::uint64_t to) const {
  std::vector<std::uint64_t> open{from};
  std::set<std::uint64_t> seen{from};
  while (!open.empty()) {
    auto owner = open.back();
    open.pop_back();
    if (owner == to) return true;
    for (auto wait = waits_.lower_bound({owner, 0}); wait != waits_.end() && wait->first.owner == owner; ++wait)
      for (auto holder : wait->second)
        if (seen.insert(holder).second) open.push_back(holder);
  }
  return false;
}

bool LockWaits::wait(Request request, std::vector<std::uint64_t> holders) {
  waits_.erase(request);
  if (std::ranges::any_of(holders, [&](auto holder) { return leads_to(holder, request.owner); })) return false;
  if (!holders.empty()) waits_.emplace(request, std::move(holders));
  return true;
}

void LockWaits::end(Request request) { waits_.erase(request); }

}  // namespace kiseki::meta
