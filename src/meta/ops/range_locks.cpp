#include "meta/ops/range_locks.hpp"

#include <algorithm>

namespace kiseki::meta::op {

namespace {

bool joins(const RangeLock& a, const RangeLock& b) {
  return a.type == b.type && a.pid == b.pid && a.end != ~std::uint64_t{0} && a.end + 1 == b.start;
}

}  // namespace

std::vector<RangeLock> with_lock(const std::vector<RangeLock>& held, RangeLock want) {
  std::vector<RangeLock> result;
  for (auto& lock : held) {
    if (lock.end < want.start || lock.start > want.end) {
      result.push_back(lock);
      continue;
    }
    if (lock.start < want.start) result.push_back({lock.type, lock.pid, lock.start, want.start - 1});
    if (lock.end > want.end) result.push_back({lock.type, lock.pid, want.end + 1, lock.end});
  }
  if (want.type != kUnlock) result.push_back(want);
  std::sort(result.begin(), result.end(), [](const RangeLock& a, const RangeLock& b) { return a.start < b.start; });
  std::vector<RangeLock> joined;
  for (auto& lock : result) {
    if (!joined.empty() && joins(joined.back(), lock))
      joined.back().end = lock.end;
    else
      joined.push_back(lock);
  }
  return joined;
}

const RangeLock* conflict(const std::vector<RangeLock>& held, const RangeLock& want) {
  for (auto& lock : held) {
    bool overlap = lock.start <= want.end && want.start <= lock.end;
    if (overlap && (lock.type == kWriteLock || want.type == kWriteLock)) return &lock;
  }
  return nullptr;
}

bool is_own(const RangeLocks& locks, SessionId sid, std::uint64_t owner) {
  return locks.sid == sid && locks.owner == owner;
}

void replace(RangeLockTable& table, RangeLocks now) {
  std::erase_if(table, [&](auto& held) { return is_own(held, now.sid, now.owner); });
  if (!now.ranges.empty()) table.push_back(std::move(now));
}

RangeLock whole_file(bool exclusive) {
  return {.type = exclusive ? kWriteLock : kReadLock, .pid = 0, .start = 0, .end = ~std::uint64_t{0}};
}

RangeLockTable as_ranges(const FileLocks& flocks) {
  RangeLockTable table;
  for (auto& lock : flocks) table.push_back({lock.sid, lock.owner, {whole_file(lock.exclusive)}});
  return table;
}

}  // namespace kiseki::meta::op
