#pragma once

#include <algorithm>

#include "meta/attr_fields.hpp"
#include "meta/commit.hpp"

/// What single checks and writes mean to the value of a record: the same words for every engine that computes them
/// here.
namespace kiseki::meta {

inline void patch(Attr& attr, const PatchAttr& change) {
  set_fields(attr, change.to, change.set);
  attr.nlink = static_cast<std::uint32_t>(static_cast<std::int64_t>(attr.nlink) + change.add_nlink);
  if (change.grow_length) attr.length = std::max(attr.length, change.to.length);
}

/// Sums stop at the ends of their 64 bits: hard links to huge files, or a damaged record, may lead there.
inline std::int64_t saturated(__int128 value) {
  return static_cast<std::int64_t>(std::clamp<__int128>(value, INT64_MIN, INT64_MAX));
}
inline std::int64_t sum(std::int64_t a, std::int64_t b) { return saturated(static_cast<__int128>(a) + b); }
inline DirStat sum(DirStat a, DirStat b) {
  return {sum(a.length, b.length), sum(a.space, b.space), sum(a.inodes, b.inodes)};
}
inline DirStat times(DirStat stat, std::uint32_t count) {
  auto each = [count](std::int64_t value) { return saturated(static_cast<__int128>(value) * count); };
  return {each(stat.length), each(stat.space), each(stat.inodes)};
}

inline bool begins_with(const Slices& list, const Slices& prefix) {
  return prefix.size() <= list.size() && std::equal(prefix.begin(), prefix.end(), list.begin());
}

/// False, and nothing changed, when the list has no such records.
inline bool replace_slices(Slices& list, const ReplaceSlices& change) {
  if (change.first > list.size() || change.count > list.size() - change.first) return false;
  auto at = list.erase(list.begin() + change.first, list.begin() + change.first + change.count);
  list.insert(at, change.with.begin(), change.with.end());
  return true;
}

inline bool within(std::int64_t value, std::int64_t delta, std::int64_t limit) {
  std::int64_t sum = 0;
  return !__builtin_add_overflow(value, delta, &sum) && sum <= limit;
}

/// Equal; a collection seen as absent is an empty one.
inline bool same_record(const Record& now, const Record& seen) {
  if (now == seen) return true;
  if (!std::holds_alternative<std::monostate>(seen)) return false;
  return std::visit(
      [](const auto& value) {
        if constexpr (requires { value.empty(); } && !std::is_same_v<std::decay_t<decltype(value)>, std::string>)
          return value.empty();
        else
          return false;
      },
      now);
}

}  // namespace kiseki::meta
