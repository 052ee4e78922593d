#include "meta/codec.hpp"

#include <spdlog/fmt/fmt.h>

#include "core/numbers.hpp"

namespace kiseki::meta::codec {
namespace {

template <std::size_t N>
void append(std::string& out, const std::array<std::byte, N>& bytes) {
  out.append(reinterpret_cast<const char*>(bytes.data()), N);
}

/// `<a><separator><b>`
template <class A, class B>
std::optional<std::pair<A, B>> two_numbers(std::string_view text, char separator) {
  auto cut = text.find(separator);
  if (cut == std::string_view::npos) return std::nullopt;
  auto a = whole_number<A>(text.substr(0, cut));
  auto b = whole_number<B>(text.substr(cut + 1));
  if (!a || !b) return std::nullopt;
  return std::pair(*a, *b);
}

bool within_chunk(const Slice& slice) { return std::uint64_t{slice.pos} + slice.len <= kChunkBytes; }

Timestamp read_time(BigEndianReader& in) {
  auto sec = static_cast<std::int64_t>(in.u64());
  return {sec, in.u32()};
}

}  // namespace

std::string encode(const Slices& slices) {
  std::string out;
  out.reserve(slices.size() * kSliceBytes);
  for (auto& slice : slices) append(out, encode(slice));
  return out;
}

std::optional<Slices> decode_slices(std::string_view bytes) {
  if (bytes.size() % kSliceBytes != 0) return std::nullopt;
  Slices slices;
  slices.reserve(bytes.size() / kSliceBytes);
  BigEndianReader in(bytes);
  while (in.left() > 0) {
    Slice slice;
    slice.pos = in.u32();
    slice.id.value = in.u64();
    slice.size = in.u32();
    slice.off = in.u32();
    slice.len = in.u32();
    if (!within_chunk(slice)) return std::nullopt;
    slices.push_back(slice);
  }
  return slices;
}

std::string encode(const std::vector<DelayedSlice>& slices) {
  std::string out;
  BigEndianWriter to(out);
  for (auto& slice : slices) to.u64(slice.id.value).u32(slice.size);
  return out;
}

std::optional<std::vector<DelayedSlice>> decode_delayed(std::string_view bytes) {
  if (bytes.size() % 12 != 0) return std::nullopt;
  std::vector<DelayedSlice> slices;
  BigEndianReader in(bytes);
  while (in.left() > 0) {
    SliceId id{in.u64()};
    slices.push_back({id, in.u32()});
  }
  return slices;
}

std::string encode(const std::vector<RangeLock>& ranges) {
  std::string out;
  BigEndianWriter to(out);
  for (auto& range : ranges) to.u32(range.type).u32(range.pid).u64(range.start).u64(range.end);
  return out;
}

std::optional<std::vector<RangeLock>> decode_ranges(std::string_view bytes) {
  if (bytes.size() % 24 != 0) return std::nullopt;
  std::vector<RangeLock> ranges;
  BigEndianReader in(bytes);
  while (in.left() > 0) {
    RangeLock range;
    range.type = in.u32();
    range.pid = in.u32();
    range.start = in.u64();
    range.end = in.u64();
    ranges.push_back(range);
  }
  return ranges;
}

std::string encode(const LockField& field) { return fmt::format("{}_{:016X}", field.sid.value, field.owner); }

std::optional<LockField> decode_lock_field(std::string_view text) {
  auto cut = text.find('_');
  if (cut == std::string_view::npos) return std::nullopt;
  auto sid = whole_number<std::uint64_t>(text.substr(0, cut));
  auto owner = whole_number<std::uint64_t>(text.substr(cut + 1), 16);
  if (!sid || !owner) return std::nullopt;
  return LockField{SessionId{*sid}, *owner};
}

std::string encode(const std::vector<AclEntry>& entries) {
  std::string out;
  BigEndianWriter to(out);
  for (auto& entry : entries) to.u32(entry.id).u16(entry.perm);
  return out;
}

std::optional<std::vector<AclEntry>> decode_acl_entries(std::string_view bytes) {
  if (bytes.size() % 6 != 0) return std::nullopt;
  std::vector<AclEntry> entries;
  BigEndianReader in(bytes);
  while (in.left() > 0) {
    auto id = in.u32();
    entries.push_back({id, in.u16()});
  }
  return entries;
}

std::string encode(const AclRule& rule) {
  std::string out;
  BigEndianWriter to(out);
  to.u16(rule.owner).u16(rule.group).u16(rule.mask).u16(rule.other);
  to.u32(static_cast<std::uint32_t>(rule.users.size())).bytes(encode(rule.users));
  to.u32(static_cast<std::uint32_t>(rule.groups.size())).bytes(encode(rule.groups));
  return out;
}

std::optional<AclRule> decode_acl(std::string_view bytes) {
  BigEndianReader in(bytes);
  AclRule rule;
  rule.owner = in.u16();
  rule.group = in.u16();
  rule.mask = in.u16();
  rule.other = in.u16();
  for (auto* entries : {&rule.users, &rule.groups}) {
    std::size_t count = in.u32();
    auto decoded = decode_acl_entries(in.bytes(count * 6));
    if (!in.ok() || !decoded) return std::nullopt;
    *entries = std::move(*decoded);
  }
  if (in.left() != 0) return std::nullopt;
  return rule;
}

std::string encode(const Attr& attr) {
  std::string out;
  BigEndianWriter to(out);
  to.u8(attr.flags).u16(static_cast<std::uint16_t>(static_cast<unsigned>(attr.type) << 12 | (attr.mode & 07777u)));
  to.u32(attr.uid).u32(attr.gid);
  for (auto time : {attr.atime, attr.mtime, attr.ctime}) to.u64(static_cast<std::uint64_t>(time.sec)).u32(time.nsec);
  to.u32(attr.nlink).u64(attr.length).u32(attr.rdev).u64(attr.parent.value);
  if (attr.access_acl != 0 || attr.default_acl != 0) to.u32(attr.access_acl).u32(attr.default_acl);
  if (attr.tier != 0) to.u8(attr.tier);
  to.u8(0);
  return out;
}

std::optional<Attr> decode_attr(std::string_view bytes) {
  BigEndianReader in(bytes);
  Attr attr;
  attr.flags = in.u8();
  auto mode = in.u16();
  auto type = file_type(mode >> 12);
  attr.mode = mode & 07777u;
  attr.uid = in.u32();
  attr.gid = in.u32();
  attr.atime = read_time(in);
  attr.mtime = read_time(in);
  attr.ctime = read_time(in);
  attr.nlink = in.u32();
  attr.length = in.u64();
  attr.rdev = in.u32();
  if (!in.ok() || !type) return std::nullopt;
  attr.type = *type;
  if (in.left() >= 8) attr.parent = Ino{in.u64()};
  if (in.left() >= 8) {
    attr.access_acl = in.u32();
    attr.default_acl = in.u32();
  }
  if (in.left() >= 1) attr.tier = in.u8();
  return attr;
}

std::optional<Entry> decode_entry(std::string_view bytes) {
  BigEndianReader in(bytes);
  auto type = file_type(in.u8());
  Ino ino{in.u64()};
  if (!in.ok() || in.left() != 0 || !type) return std::nullopt;
  return Entry{ino, *type};
}

std::string encode_limits(const Quota& quota) {
  std::string out;
  BigEndianWriter(out)
      .u64(static_cast<std::uint64_t>(quota.max_space))
      .u64(static_cast<std::uint64_t>(quota.max_inodes));
  return out;
}

std::optional<Quota> decode_limits(std::string_view bytes) {
  BigEndianReader in(bytes);
  Quota quota;
  quota.max_space = static_cast<std::int64_t>(in.u64());
  quota.max_inodes = static_cast<std::int64_t>(in.u64());
  if (!in.ok() || in.left() != 0) return std::nullopt;
  return quota;
}

std::optional<std::int64_t> decode_number(std::string_view text) { return whole_number<std::int64_t>(text); }

std::string encode(const SliceField& field) { return fmt::format("k{}_{}", field.id.value, field.size); }

std::optional<SliceField> decode_slice_field(std::string_view text) {
  if (!text.starts_with('k')) return std::nullopt;
  auto both = two_numbers<std::uint64_t, std::uint32_t>(text.substr(1), '_');
  if (!both) return std::nullopt;
  return SliceField{SliceId{both->first}, both->second};
}

std::string encode(const DeletedMember& member) { return fmt::format("{}:{}", member.ino.value, member.length); }

std::optional<DeletedMember> decode_deleted_member(std::string_view text) {
  auto both = two_numbers<std::uint64_t, std::uint64_t>(text, ':');
  if (!both) return std::nullopt;
  return DeletedMember{Ino{both->first}, both->second};
}

std::string encode(const DelayedField& field) { return fmt::format("{}_{}", field.compacted.value, field.replaced_at); }

std::optional<DelayedField> decode_delayed_field(std::string_view text) {
  auto both = two_numbers<std::uint64_t, std::int64_t>(text, '_');
  if (!both) return std::nullopt;
  return DelayedField{SliceId{both->first}, both->second};
}

}  // namespace kiseki::meta::codec
