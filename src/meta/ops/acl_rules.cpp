#include "meta/ops/acl_rules.hpp"

#include <algorithm>

namespace kiseki::meta::op {

bool acl_allows(const AclRule& rule, std::uint32_t owner_uid, std::uint32_t owner_gid, std::uint32_t uid,
                std::uint32_t gid, std::uint32_t mask) {
  auto grants = [mask](std::uint32_t perm) { return (perm & mask) == mask; };
  if (uid == owner_uid) return grants(rule.owner);
  for (auto& user : rule.users)
    if (user.id == uid) return grants(std::uint32_t{user.perm} & rule.mask);
  bool matched = false;
  if (gid == owner_gid) {
    matched = true;
    if (grants(std::uint32_t{rule.group} & rule.mask)) return true;
  }
  for (auto& group : rule.groups) {
    if (group.id != gid) continue;
    matched = true;
    if (grants(std::uint32_t{group.perm} & rule.mask)) return true;
  }
  return !matched && grants(rule.other);
}

bool is_minimal(const AclRule& rule) { return rule.users.empty() && rule.groups.empty() && rule.mask == kUnsetPerm; }

bool is_empty(const AclRule& rule) { return rule == AclRule(); }

std::uint16_t mode_bits(const AclRule& rule) {
  unsigned group = rule.mask == kUnsetPerm ? rule.group : rule.mask;
  return static_cast<std::uint16_t>((rule.owner & 7u) << 6 | (group & 7u) << 3 | (rule.other & 7u));
}

void fill_from_mode(AclRule& rule, std::uint16_t mode) {
  if (rule.owner == kUnsetPerm) rule.owner = mode >> 6 & 7;
  if (rule.group == kUnsetPerm) rule.group = mode >> 3 & 7;
  if (rule.other == kUnsetPerm) rule.other = mode & 7;
}

void set_mode(AclRule& rule, std::uint16_t mode) {
  rule.owner = mode >> 6 & 7;
  (is_minimal(rule) ? rule.group : rule.mask) = mode >> 3 & 7;
  rule.other = mode & 7;
}

AclRule child_rule(const AclRule& parent_default, std::uint16_t mode) {
  AclRule rule = parent_default;
  rule.owner &= static_cast<std::uint16_t>(mode >> 6 & 7);
  rule.mask &= static_cast<std::uint16_t>(mode >> 3 & 7);
  rule.other &= static_cast<std::uint16_t>(mode & 7);
  return rule;
}

// ---- the kernel's form: u32 version, then (u16 tag, u16 perm, u32 id) each, little-endian ---------------------------

namespace {

constexpr std::uint32_t kVersion = 2, kNoId = 0xFFFFFFFF;
enum Tag : std::uint16_t { kUserObj = 1, kUser = 2, kGroupObj = 4, kGroup = 8, kMask = 0x10, kOther = 0x20 };

std::uint32_t little(std::string_view in, std::size_t at, std::size_t width) {
  std::uint32_t v = 0;
  for (std::size_t i = 0; i < width; ++i) v |= std::uint32_t{static_cast<unsigned char>(in[at + i])} << (8 * i);
  return v;
}

void append_little(std::string& out, std::uint32_t v, std::size_t width) {
  for (std::size_t i = 0; i < width; ++i) out.push_back(static_cast<char>(v >> (8 * i)));
}

bool once(std::uint16_t& slot, std::uint16_t perm) {
  if (slot != kUnsetPerm) return false;
  slot = perm;
  return true;
}

bool add_named(std::vector<AclEntry>& list, AclEntry entry) {
  bool known = std::any_of(list.begin(), list.end(), [&](const AclEntry& e) { return e.id == entry.id; });
  if (!known) list.push_back(entry);
  return !known;
}

bool add_entry(AclRule& rule, std::uint16_t tag, std::uint16_t perm, std::uint32_t id) {
  if (perm > 7) return false;
  switch (tag) {
    case kUserObj:
      return once(rule.owner, perm);
    case kGroupObj:
      return once(rule.group, perm);
    case kMask:
      return once(rule.mask, perm);
    case kOther:
      return once(rule.other, perm);
    case kUser:
      return add_named(rule.users, {id, perm});
    case kGroup:
      return add_named(rule.groups, {id, perm});
    default:
      return false;
  }
}

}  // namespace

Result<AclRule> parse_acl(std::string_view blob) {
  AclRule rule;
  if (blob.empty()) return rule;
  if (blob.size() < 4 || (blob.size() - 4) % 8 != 0) return posix(EINVAL);
  if (little(blob, 0, 4) != kVersion) return posix(EOPNOTSUPP);
  for (std::size_t at = 4; at < blob.size(); at += 8) {
    auto tag = static_cast<std::uint16_t>(little(blob, at, 2)),
         perm = static_cast<std::uint16_t>(little(blob, at + 2, 2));
    if (!add_entry(rule, tag, perm, little(blob, at + 4, 4))) return posix(EINVAL);
  }
  if (blob.size() == 4) return rule;
  bool named = !rule.users.empty() || !rule.groups.empty();
  if (rule.owner == kUnsetPerm || rule.group == kUnsetPerm || rule.other == kUnsetPerm) return posix(EINVAL);
  if (named && rule.mask == kUnsetPerm) return posix(EINVAL);
  auto by_id = [](const AclEntry& a, const AclEntry& b) { return a.id < b.id; };
  std::sort(rule.users.begin(), rule.users.end(), by_id);
  std::sort(rule.groups.begin(), rule.groups.end(), by_id);
  return rule;
}

std::string emit_acl(const AclRule& rule) {
  std::string out;
  auto entry = [&](Tag tag, std::uint16_t perm, std::uint32_t id) {
    append_little(out, tag, 2);
    append_little(out, perm, 2);
    append_little(out, id, 4);
  };
  append_little(out, kVersion, 4);
  entry(kUserObj, rule.owner, kNoId);
  for (auto& user : rule.users) entry(kUser, user.perm, user.id);
  entry(kGroupObj, rule.group, kNoId);
  for (auto& group : rule.groups) entry(kGroup, group.perm, group.id);
  if (rule.mask != kUnsetPerm) entry(kMask, rule.mask, kNoId);
  entry(kOther, rule.other, kNoId);
  return out;
}

}  // namespace kiseki::meta::op
