#pragma once

#include "meta/attr.hpp"

namespace kiseki::meta {

/// Calls `visit(bit, member pointer)` for each field that AttrField names.
template <class F>
constexpr void for_each_attr_field(F visit) {
  visit(kFlags, &Attr::flags);
  visit(kType, &Attr::type);
  visit(kMode, &Attr::mode);
  visit(kUid, &Attr::uid);
  visit(kGid, &Attr::gid);
  visit(kAtime, &Attr::atime);
  visit(kMtime, &Attr::mtime);
  visit(kCtime, &Attr::ctime);
  visit(kNlink, &Attr::nlink);
  visit(kLength, &Attr::length);
  visit(kRdev, &Attr::rdev);
  visit(kParent, &Attr::parent);
  visit(kAccessAcl, &Attr::access_acl);
  visit(kDefaultAcl, &Attr::default_acl);
  visit(kTier, &Attr::tier);
}

/// Whether `a` and `b` agree in the fields named.
inline bool same_fields(const Attr& a, const Attr& b, std::uint32_t fields) {
  bool same = true;
  for_each_attr_field([&](std::uint32_t bit, auto member) {
    if ((fields & bit) != 0 && !(a.*member == b.*member)) same = false;
  });
  return same;
}

/// Copies the fields named.
inline void set_fields(Attr& to, const Attr& from, std::uint32_t fields) {
  for_each_attr_field([&](std::uint32_t bit, auto member) {
    if ((fields & bit) != 0) to.*member = from.*member;
  });
}

/// Space an inode counts for in directory statistics: files by their length, anything else one page.
inline std::int64_t stat_space(const Attr& attr) { return attr.is_file() ? used_space(attr.length) : 4096; }

}  // namespace kiseki::meta
