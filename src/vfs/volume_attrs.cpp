// Attributes: stat, chmod and friends, symlink targets, extended attributes, inode flags.
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "vfs/internal_files.hpp"
#include "vfs/volume.hpp"

namespace kiseki::vfs {

Answer<AttrReply> Volume::getattr(Caller, Ino kernel, std::optional<HandleId>) {
  if (is_internal(kernel))
    return Result<AttrReply>(
        AttrReply{.ino = kernel, .attr = internal_attr(kernel), .attr_valid = options_.attr_timeout});
  Ino ino = inside(kernel);
  auto before = buffered(ino);
  if (auto hit = client_.cached_attr(ino)) return Result<AttrReply>(attr_reply(ino, *hit, before));
  return or_stale(getattr_slow(ino, before));
}

Async<AttrReply> Volume::getattr_slow(Ino ino, Buffered before) {
  CO_TRY(auto attr, co_await attr_or_last(ino));
  co_return attr_reply(ino, attr, before);
}

Async<Attr> Volume::attr_or_last(Ino ino) {
  auto attr = co_await meta::getattr(client_, ino);
  co_return !attr && attr.error() == posix(ENOENT) ? last_attr(ino) : attr;
}

Result<Attr> Volume::last_attr(Ino ino) const {
  auto last = nameless_.find(ino);
  return last ? Result<Attr>(*last) : posix(ENOENT);
}

Answer<AttrReply> Volume::setattr(Caller caller, Ino kernel, SetAttr change) {
  if (is_internal(kernel))  // chmod and truncate of an internal file succeed without effect, as in JuiceFS
    return Result<AttrReply>(
        AttrReply{.ino = kernel, .attr = internal_attr(kernel), .attr_valid = options_.attr_timeout});
  if (options_.read_only) return posix(EROFS);
  return or_stale(setattr_slow(who(caller), inside(kernel), change));
}

Async<AttrReply> Volume::setattr_slow(meta::Who who, Ino ino, SetAttr change) {
  constexpr std::uint32_t kOthers = meta::kMode | meta::kUid | meta::kGid | meta::kAtime | meta::kMtime | meta::kFlags;
  meta::AttrChange rest{.set = change.set & kOthers,
                        .to = change.to,
                        .atime_now = change.atime_now,
                        .mtime_now = change.mtime_now,
                        .kill_suidgid = change.kill_suidgid};
  std::optional<Attr> after;
  auto before = buffered(ino);
  if (change.set & meta::kLength) {  // a buffered write must not come after it
    before = {};
    CO_CHECK(co_await settle(ino));
    CO_TRY(after, co_await meta::truncate(client_, who, ino, change.to.length, change.kill_suidgid));
    data_.invalidate(ino);
    page_cache_.forget(ino);
  }
  if (!after && (change.set & meta::kMtime)) {  // nor after this: it goes with them
    before = {};
    CO_TRY(after, co_await data_.flush_then(ino, {who, rest}));
    if (after) co_return attr_reply(ino, *after, before);
  }
  if (rest.set != 0 || !after) {
    auto changed = co_await meta::setattr(client_, who, ino, rest);
    if (!changed && changed.error() == posix(ENOENT) && !who.check_permissions)
      changed = nameless_.change(ino, rest, client_.clock().now());
    CO_TRY(after, changed);
  }
  auto reply = attr_reply(ino, *after, before);
  if (change.set & meta::kLength) told_.resized(ino, reply.attr.length);
  co_return reply;
}

Answer<std::string> Volume::readlink(Caller, Ino ino) { return or_stale(readlink_slow(inside(ino))); }

Async<std::string> Volume::readlink_slow(Ino ino) {
  if (tracks_access()) (void)co_await meta::touch_atime(client_, ino);
  co_return co_await meta::readlink(client_, ino);
}

Answer<void> Volume::access(Caller caller, Ino ino, std::uint32_t mask) {
  if (is_internal(ino)) return Result<void>{};
  if ((mask & W_OK) && options_.read_only) return posix(EROFS);
  return after_access<void>(who(caller), inside(ino), mask & 7u, [] { return Result<void>{}; });
}

// ---- extended attributes ----------------------------------------------------------------------------------------

namespace {
constexpr std::string_view kAclAccess = "system.posix_acl_access", kAclDefault = "system.posix_acl_default";
bool is_acl(std::string_view name) { return name == kAclAccess || name == kAclDefault; }

/// The errno of names that no file system knows.
std::error_code bad_xattr_name(std::string_view name) {
  for (std::string_view space : {"user.", "trusted.", "security."})
    if (name.starts_with(space)) return name.size() == space.size() ? posix(EINVAL) : std::error_code();
  return posix(EOPNOTSUPP);
}
}  // namespace

std::error_code Volume::refuse_xattr(std::string_view name, bool reading) const {
  if (is_acl(name)) return client_.format()->enable_acl ? std::error_code() : posix(EOPNOTSUPP);
  if (name == "security.capability" && !options_.capabilities) return posix(reading ? ENODATA : EOPNOTSUPP);
  if (name == "security.selinux" && !options_.selinux) return posix(reading ? ENODATA : EOPNOTSUPP);
  if (!options_.xattr) return posix(EOPNOTSUPP);
  if (name.size() > 255) return posix(ERANGE);
  return bad_xattr_name(name);
}

/// Names that take privileges the kernel believes a squashed root has.
std::error_code Volume::refuse_privileged(meta::Who who, std::string_view xattr) const {
  bool privileged = xattr.starts_with("trusted.") || xattr.starts_with("security.");
  return privileged && meta::is_checked(who) ? posix(EPERM) : std::error_code();
}

Answer<void> Volume::setxattr(Caller caller, Ino ino, std::string_view name, std::string_view value,
                              std::uint32_t flags) {
  if (auto refused = refuse_xattr(name, false)) return refused;
  if (auto refused = refuse_change(ino)) return refused;
  if (value.size() > 65536) return posix(E2BIG);
  if (auto refused = refuse_privileged(who(caller), name)) return refused;
  return or_stale(setxattr_slow(who(caller), inside(ino), std::string(name), std::string(value), flags));
}

Async<void> Volume::setxattr_slow(meta::Who who, Ino ino, std::string name, std::string value, std::uint32_t flags) {
  if (!is_acl(name)) CO_CHECK(co_await meta::access(client_, who, ino, meta::kMayWrite));
  if (!is_acl(name))
    co_return co_await meta::set_xattr(client_, ino, std::move(name), std::move(value), flags & ~kSetxattrKillSgid);
  CO_TRY(auto attr, co_await meta::set_acl(client_, who, ino, name == kAclDefault, std::move(value)));
  if ((flags & kSetxattrKillSgid) && !attr.is_dir() &&
      (attr.mode & S_ISGID)) {  // whoever sets it is not in the file's group
    meta::AttrChange change{.set = meta::kMode, .to = attr};
    change.to.mode = static_cast<std::uint16_t>(attr.mode & ~S_ISGID);
    CO_CHECK(co_await meta::setattr(client_, who, ino, change));
  }
  co_return Result<void>{};
}

Answer<std::string> Volume::getxattr(Caller caller, Ino ino, std::string_view name) {
  if (is_internal(ino)) return posix(ENODATA);
  if (auto refused = refuse_xattr(name, true)) return refused;
  auto as = who(caller);
  if (name.starts_with("trusted.") && meta::is_checked(as))
    return posix(ENODATA);  // as for anybody without the privilege
  std::uint32_t mask = name.starts_with("user.") ? meta::kMayRead : 0;
  return after_access<std::string>(as, inside(ino), mask, [this, ino, name = std::string(name)] {
    return or_stale(getxattr_slow(inside(ino), name));
  });
}

Async<std::string> Volume::getxattr_slow(Ino ino, std::string name) {
  if (is_acl(name)) return meta::get_acl(client_, ino, name == kAclDefault);
  return meta::get_xattr(client_, ino, std::move(name));
}

Answer<std::string> Volume::listxattr(Caller caller, Ino ino) {
  if (is_internal(ino) || ino == kTrashIno) return posix(ENODATA);
  if (!options_.xattr && !client_.format()->enable_acl) return posix(EOPNOTSUPP);
  return or_stale(listxattr_slow(who(caller), inside(ino)));
}

// The names of ACLs stand among the others; a mount without --enable-xattr shows no others. Only root is shown trusted
// ones, as everywhere in Linux.
Async<std::string> Volume::listxattr_slow(meta::Who who, Ino ino) {
  CO_TRY(auto stored, co_await meta::list_xattrs(client_, ino));
  std::string names;
  for (auto& name : stored) {
    bool shown = is_acl(name) || (options_.xattr && (who.uid == 0 || !name.starts_with("trusted.")));
    if (shown) names.append(name).push_back('\0');
  }
  co_return names;
}

Answer<void> Volume::removexattr(Caller caller, Ino ino, std::string_view name) {
  if (auto refused = refuse_xattr(name, false)) return refused;
  if (auto refused = refuse_change(ino)) return refused;
  if (auto refused = refuse_privileged(who(caller), name)) return refused;
  return or_stale(removexattr_slow(who(caller), inside(ino), std::string(name)));
}

Async<void> Volume::removexattr_slow(meta::Who who, Ino ino, std::string name) {
  if (is_acl(name)) {
    CO_CHECK(co_await meta::set_acl(client_, who, ino, name == kAclDefault, {}));
    co_return Result<void>{};
  }
  CO_CHECK(co_await meta::access(client_, who, ino, meta::kMayWrite));
  co_return co_await meta::remove_xattr(client_, ino, std::move(name));
}

// ---- chattr, lsattr ---------------------------------------------------------------------------------------------

namespace {

// FS_IOC_* of 64- and 32-bit callers; chattr's letters i, a and s (s: what is deleted skips the trash, as JuiceFS has
// it).
constexpr std::uint32_t kGetFlags64 = 0x80086601, kGetFlags32 = 0x80046601;
constexpr std::uint32_t kSetFlags64 = 0x40086602, kSetFlags32 = 0x40046602;
// The same in a struct fsxattr, which has no letter s; Linux asks for it before it sets any flag.
constexpr std::uint32_t kGetXflags = FS_IOC_FSGETXATTR, kSetXflags = FS_IOC_FSSETXATTR;

std::uint32_t to_chattr(std::uint8_t flags) {
  std::uint32_t out = 0;
  if (flags & meta::kImmutable) out |= FS_IMMUTABLE_FL;
  if (flags & meta::kAppendOnly) out |= FS_APPEND_FL;
  if (flags & meta::kSkipTrash) out |= FS_SECRM_FL;
  return out;
}

std::uint32_t to_xflags(std::uint8_t flags) {
  std::uint32_t out = 0;
  if (flags & meta::kImmutable) out |= FS_XFLAG_IMMUTABLE;
  if (flags & meta::kAppendOnly) out |= FS_XFLAG_APPEND;
  return out;
}

/// chattr's bits of what came with a setting command. Errors: EOPNOTSUPP for flags that have none.
Result<std::uint32_t> from_xflags(std::uint32_t xflags, std::uint8_t now) {
  if (xflags & ~std::uint32_t{FS_XFLAG_IMMUTABLE | FS_XFLAG_APPEND}) return posix(EOPNOTSUPP);
  std::uint32_t out = now & meta::kSkipTrash ? FS_SECRM_FL : 0;
  if (xflags & FS_XFLAG_IMMUTABLE) out |= FS_IMMUTABLE_FL;
  if (xflags & FS_XFLAG_APPEND) out |= FS_APPEND_FL;
  return out;
}

template <class T>
std::vector<std::byte> as_bytes(const T& value) {
  auto raw = std::as_bytes(std::span(&value, 1));
  return {raw.begin(), raw.end()};
}

}  // namespace

Answer<IoctlReply> Volume::ioctl(Caller caller, Ino ino, HandleId, std::uint32_t command, std::span<const std::byte> in,
                                 std::uint32_t out_size) {
  bool in_struct = command == kGetXflags || command == kSetXflags;
  bool getting = command == kGetFlags64 || command == kGetFlags32 || command == kGetXflags;
  bool setting = command == kSetFlags64 || command == kSetFlags32 || command == kSetXflags;
  if (!options_.ioctl || !(getting || setting)) return posix(ENOTTY);
  if (is_internal(ino) || is_trash(ino)) return posix(EPERM);  // trash directories are nobody's to mark
  if (getting) {
    if (out_size < (in_struct ? sizeof(fsxattr) : 4)) return posix(EINVAL);
    return get_flags(inside(ino), in_struct);
  }
  if (auto refused = refuse_change(ino)) return refused;
  if (in.size() < 4) return posix(EINVAL);
  std::uint32_t flags = 0;  // also the first member of the struct
  std::memcpy(&flags, in.data(), sizeof flags);
  return set_flags(who(caller), inside(ino), flags, in_struct);
}

Async<IoctlReply> Volume::get_flags(Ino ino, bool in_struct) {
  CO_TRY(auto attr, co_await meta::getattr(client_, ino));
  if (!in_struct) co_return IoctlReply{.result = 0, .out = as_bytes(std::uint64_t{to_chattr(attr.flags)})};
  fsxattr told{};
  told.fsx_xflags = to_xflags(attr.flags);
  co_return IoctlReply{.result = 0, .out = as_bytes(told)};
}

Async<IoctlReply> Volume::set_flags(meta::Who who, Ino ino, std::uint32_t flags, bool in_struct) {
  CO_TRY(auto attr, co_await meta::getattr(client_, ino));
  if (in_struct) {
    CO_TRY(flags, from_xflags(flags, attr.flags));
  }
  if (flags & ~std::uint32_t{FS_IMMUTABLE_FL | FS_APPEND_FL | FS_SECRM_FL}) co_return posix(EOPNOTSUPP);
  if (who.uid != 0 && who.uid != attr.uid) co_return posix(EPERM);
  auto privileged = FS_IMMUTABLE_FL | FS_APPEND_FL;
  if (who.uid != 0 && ((to_chattr(attr.flags) ^ flags) & static_cast<std::uint32_t>(privileged)))
    co_return posix(EPERM);
  meta::AttrChange change{.set = meta::kFlags, .to = attr};
  change.to.flags = static_cast<std::uint8_t>(attr.flags & ~(meta::kImmutable | meta::kAppendOnly | meta::kSkipTrash));
  if (flags & FS_IMMUTABLE_FL) change.to.flags |= meta::kImmutable;
  if (flags & FS_APPEND_FL) change.to.flags |= meta::kAppendOnly;
  if (flags & FS_SECRM_FL) change.to.flags |= meta::kSkipTrash;
  CO_CHECK(co_await meta::setattr(client_, who, ino, change));
  co_return IoctlReply{};
}

}  // namespace kiseki::vfs
