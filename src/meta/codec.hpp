#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/big_endian.hpp"
#include "core/slice.hpp"
#include "meta/commit.hpp"
#include "meta/record.hpp"

/// Records as bytes, as JuiceFS 1.x stores them: FORMAT.md. Everything is big-endian. Encoders are total; decoders take
/// untrusted bytes and answer nullopt for what no client writes. Golden bytes: tests/wire.
namespace kiseki::meta::codec {

// ---- slices -----------------------------------------------------------------------------------------------------

inline constexpr std::size_t kSliceBytes = 24;

/// pos u32 | id u64 | size u32 | off u32 | len u32
constexpr std::array<std::byte, kSliceBytes> encode(const Slice& slice) {
  return BigEndian<kSliceBytes>()
      .u32(slice.pos)
      .u64(slice.id.value)
      .u32(slice.size)
      .u32(slice.off)
      .u32(slice.len)
      .full();
}
inline constexpr auto kGoldenSlice = encode(Slice{.pos = 1, .id = SliceId{0x0203}, .size = 4, .off = 5, .len = 6});
static_assert(kGoldenSlice[3] == std::byte{1} && kGoldenSlice[10] == std::byte{2} && kGoldenSlice[11] == std::byte{3} &&
              kGoldenSlice[15] == std::byte{4} && kGoldenSlice[19] == std::byte{5} && kGoldenSlice[23] == std::byte{6});

std::string encode(const Slices& slices);
/// nullopt unless the length is a multiple of 24 and every record lies within its chunk.
std::optional<Slices> decode_slices(std::string_view bytes);

/// Slices a compaction replaced: id u64 | size u32, each.
std::string encode(const std::vector<DelayedSlice>& slices);
std::optional<std::vector<DelayedSlice>> decode_delayed(std::string_view bytes);

// ---- locks ------------------------------------------------------------------------------------------------------

/// type u32 | pid u32 | start u64 | end u64, each.
std::string encode(const std::vector<RangeLock>& ranges);
std::optional<std::vector<RangeLock>> decode_ranges(std::string_view bytes);

/// 'R' or 'W'.
constexpr char encode_lock_type(bool exclusive) { return exclusive ? 'W' : 'R'; }
constexpr std::optional<bool> decode_lock_type(std::int64_t letter) {
  if (letter == 'W') return true;
  if (letter == 'R') return false;
  return std::nullopt;
}

/// Redis: the field of a lock hash, `<sid>_<owner as 16 upper-case hex digits>`.
struct LockField {
  SessionId sid;
  std::uint64_t owner = 0;
  friend bool operator==(const LockField&, const LockField&) = default;
};
std::string encode(const LockField& field);
std::optional<LockField> decode_lock_field(std::string_view text);

// ---- ACL --------------------------------------------------------------------------------------------------------

/// SQL: id u32 | perm u16, each.
std::string encode(const std::vector<AclEntry>& entries);
std::optional<std::vector<AclEntry>> decode_acl_entries(std::string_view bytes);

/// Redis: owner, group, mask, other u16 | users u32, entries | groups u32, entries. Also what rules are compared by.
std::string encode(const AclRule& rule);
std::optional<AclRule> decode_acl(std::string_view bytes);

// ---- Redis ------------------------------------------------------------------------------------------------------

/// The packed attribute: 71 bytes, then ACL ids (8) if either is set, then the tier (1) if set, then one spare zero.
std::string encode(const Attr& attr);
/// From 63 bytes on (very old clients left the parent out). nullopt when shorter or of no known type.
std::optional<Attr> decode_attr(std::string_view bytes);

/// type u8 | inode u64
constexpr std::array<std::byte, 9> encode(const Entry& entry) {
  return BigEndian<9>().u8(static_cast<std::uint8_t>(entry.type)).u64(entry.ino.value).full();
}
static_assert(encode(Entry{Ino{0x48}, FileType::directory})[0] == std::byte{2});
static_assert(encode(Entry{Ino{0x48}, FileType::directory})[8] == std::byte{0x48});
std::optional<Entry> decode_entry(std::string_view bytes);

/// Limits of a quota: max_space i64 | max_inodes i64; usage is kept elsewhere.
std::string encode_limits(const Quota& quota);
std::optional<Quota> decode_limits(std::string_view bytes);

/// Counters and usage: decimal text.
std::optional<std::int64_t> decode_number(std::string_view text);

/// Field of `sliceRef`: `k<id>_<size>`.
struct SliceField {
  SliceId id;
  std::uint32_t size = 0;
  friend bool operator==(const SliceField&, const SliceField&) = default;
};
std::string encode(const SliceField& field);
std::optional<SliceField> decode_slice_field(std::string_view text);
/// Stored references are one less than there are.
constexpr std::int64_t stored_refs(std::int64_t refs) { return refs - 1; }
constexpr std::int64_t refs_of_stored(std::int64_t stored) { return stored + 1; }

/// Member of `delfiles`: `<inode>:<length>`.
struct DeletedMember {
  Ino ino;
  std::uint64_t length = 0;
  friend bool operator==(const DeletedMember&, const DeletedMember&) = default;
};
std::string encode(const DeletedMember& member);
std::optional<DeletedMember> decode_deleted_member(std::string_view text);

/// Field of `delSlices`: `<slice id>_<seconds>`.
struct DelayedField {
  SliceId compacted;
  std::int64_t replaced_at = 0;
  friend bool operator==(const DelayedField&, const DelayedField&) = default;
};
std::string encode(const DelayedField& field);
std::optional<DelayedField> decode_delayed_field(std::string_view text);

// ---- SQL --------------------------------------------------------------------------------------------------------

/// A stored type number; nullopt for what is no type.
constexpr std::optional<FileType> file_type(std::int64_t stored) {
  if (stored < 1 || stored > 7) return std::nullopt;
  return static_cast<FileType>(stored);
}

/// A time as two columns: whole microseconds (floor, so that times before 1970 are right) and the nanoseconds left.
struct SplitTime {
  std::int64_t micros = 0;
  std::int64_t nanos = 0;  ///< 0..999
};
constexpr SplitTime split(Timestamp t) {
  constexpr std::int64_t kLimit = INT64_MAX / 1'000'000 - 1;  // beyond: year 294,000
  auto sec = t.sec > kLimit ? kLimit : t.sec < -kLimit ? -kLimit : t.sec;
  return {sec * 1'000'000 + t.nsec / 1000, t.nsec % 1000};
}
constexpr Timestamp join(SplitTime t) {
  auto sec = t.micros / 1'000'000, rest = t.micros % 1'000'000;
  // JuiceFS leaves negative nanoseconds where a time passed its 64 bits of them (after 2262). The time itself is lost;
  // both clients show the same.
  if (t.nanos < 0) return {sec, 999'999'999};
  if (rest < 0) rest += 1'000'000, --sec;
  auto nanos = t.nanos > 999 ? 0 : t.nanos;
  return {sec, static_cast<std::uint32_t>(rest * 1000 + nanos)};
}
static_assert(join({-4852116231933722, -625}) == Timestamp{-4852116231, 999'999'999});
static_assert(split({-1, 999'999'999}).micros == -1 && split({-1, 999'999'999}).nanos == 999);
static_assert(join(split({-1, 999'999'999})) == Timestamp{-1, 999'999'999});
static_assert(join(split({1'795'251'680, 615'150'560})) == Timestamp{1'795'251'680, 615'150'560});

}  // namespace kiseki::meta::codec
