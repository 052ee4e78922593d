#pragma once

#include "meta/codec.hpp"
#include "meta/sqlite/connection.hpp"

/// Columns of a row as the words of the house.
namespace kiseki::meta::sqlite {

template <class T>
T whole(std::optional<T> decoded, const char* what) {
  if (!decoded) throw SqlError{kCorruptRecord, std::string("corrupt record: ") + what};
  return std::move(*decoded);
}

inline FileType type_at(const Run& row, int column) { return whole(codec::file_type(row.integer_at(column)), "type"); }
inline SessionId sid_at(const Run& row, int column) { return SessionId{row.id_at(column)}; }
inline Ino ino_at(const Run& row, int column) { return Ino{row.id_at(column)}; }
inline bool exclusive_at(const Run& row, int column) {
  return whole(codec::decode_lock_type(row.integer_at(column)), "flock.ltype");
}
inline Slices slices_at(const Run& row, int column) {
  return whole(codec::decode_slices(row.bytes_at(column)), "chunk.slices");
}
inline std::vector<RangeLock> ranges_at(const Run& row, int column) {
  return whole(codec::decode_ranges(row.bytes_at(column)), "plock.records");
}
/// Six columns from `first`: owner, group, mask, other, users, groups.
inline AclRule acl_at(const Run& row, int first) {
  auto perm = [&](int column) { return static_cast<std::uint16_t>(row.integer_at(first + column)); };
  return {perm(0),
          perm(1),
          perm(2),
          perm(3),
          whole(codec::decode_acl_entries(row.bytes_at(first + 4)), "acl.named_users"),
          whole(codec::decode_acl_entries(row.bytes_at(first + 5)), "acl.named_groups")};
}
/// Four columns from `first`.
inline Quota quota_at(const Run& row, int first) {
  return {row.integer_at(first), row.integer_at(first + 1), row.integer_at(first + 2), row.integer_at(first + 3)};
}

}  // namespace kiseki::meta::sqlite
