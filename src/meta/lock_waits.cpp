#include "meta/lock_waits.hpp"

#include <algorithm>
#include <set>
#include <vector>

namespace kiseki::meta {

bool LockWaits::leads_to(std::uint64_t from, std::uint64_t to) const {
  std::vector<std::uint64_t> open{from};
  std::set<std::uint64_t> seen{from};
  while (!open.empty()) {
    auto owner = open.back();
    open.pop_back();
    if (owner == to) return true;
    auto [begin, end] = waits_.equal_range(owner);
    for (auto wait = begin; wait != end; ++wait)
      if (seen.insert(wait->second.holder).second) open.push_back(wait->second.holder);
  }
  return false;
}

LockWaits::Verdict LockWaits::begin(std::uint64_t waiter, std::uint64_t holder, Ino ino, const Signal& signal,
                                    std::uint64_t ticket) {
  std::lock_guard lock(mutex_);
  if (signal.ticket() != ticket) return Verdict::wait;
  if (leads_to(holder, waiter)) return Verdict::deadlock;
  waits_.emplace(waiter, Wait{holder, ino});
  return Verdict::wait;
}

void LockWaits::end(std::uint64_t waiter, std::uint64_t holder, Ino ino) {
  std::lock_guard lock(mutex_);
  auto [begin, end] = waits_.equal_range(waiter);
  auto mine = std::find_if(begin, end, [&](const auto& wait) { return wait.second == Wait{holder, ino}; });
  if (mine != end) waits_.erase(mine);
}

void LockWaits::unlocked(Ino ino, Signal& signal) {
  std::lock_guard lock(mutex_);
  std::erase_if(waits_, [ino](const auto& wait) { return wait.second.ino == ino; });
  signal.notify_all();
}

}  // namespace kiseki::meta
