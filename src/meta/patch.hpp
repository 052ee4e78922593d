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

inline DirStat sum(DirStat a, DirStat b) { return {a.length + b.length, a.space + b.space, a.inodes + b.inodes}; }

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
