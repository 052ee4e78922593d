#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "meta/record.hpp"

/// What POSIX ACL rules mean, apart from where they are stored.
namespace kiseki::meta::op {

inline constexpr std::uint16_t kUnsetPerm = 0xFFFF;

bool acl_allows(const AclRule& rule, std::uint32_t owner_uid, std::uint32_t owner_gid, std::uint32_t uid,
                std::uint32_t gid, std::uint32_t mask);
/// No named entries and no mask: says no more than a mode does.
bool is_minimal(const AclRule& rule);
bool is_empty(const AclRule& rule);
/// What stands in the low nine bits of mode beside this rule: with a mask, the group bits are the mask.
std::uint16_t mode_bits(const AclRule& rule);
/// Classes the rule leaves open are taken from the mode.
void fill_from_mode(AclRule& rule, std::uint16_t mode);
/// chmod on a file with an ACL: owner, mask (group without one) and other.
void set_mode(AclRule& rule, std::uint16_t mode);
/// The access rule of a child made with `mode` in a directory whose default rule this is.
AclRule child_rule(const AclRule& parent_default, std::uint16_t mode);

/// The kernel's system.posix_acl_* value, version 2. Errors: EINVAL; EOPNOTSUPP for another version.
Result<AclRule> parse_acl(std::string_view blob);
std::string emit_acl(const AclRule& rule);

}  // namespace kiseki::meta::op
