#pragma once

#include <vector>

#include "meta/record.hpp"

/// fcntl(2) record locks of one owner as plain data. `end` is inclusive.
namespace kiseki::meta::op {

inline constexpr std::uint32_t kReadLock = 0, kWriteLock = 1, kUnlock = 2;

/// What an owner holds after asking for `want`: ranges are split and joined, sorted, not overlapping.
std::vector<RangeLock> with_lock(const std::vector<RangeLock>& held, RangeLock want);
/// The first of `held` that stands in the way of `want` (another owner's); null: none.
const RangeLock* conflict(const std::vector<RangeLock>& held, const RangeLock& want);

bool is_own(const RangeLocks& locks, SessionId sid, std::uint64_t owner);
/// Puts what one owner holds now (perhaps nothing) in the place of what it held.
void replace(RangeLockTable& table, RangeLocks now);

/// A flock is a lock of the whole file.
RangeLock whole_file(bool exclusive);
RangeLockTable as_ranges(const FileLocks& flocks);

}  // namespace kiseki::meta::op
