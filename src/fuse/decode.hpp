#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

#include "core/result.hpp"
#include "fuse/abi.hpp"
#include "vfs/filesystem.hpp"

/// Requests as types. Views point into the bytes that were decoded.
namespace kiseki::fuse {

struct Lookup {
  std::string_view name;
};
struct Forget {
  std::uint64_t lookups;
};
struct ForgetOne {
  Ino ino;
  std::uint64_t lookups;
};
struct BatchForget {
  std::uint32_t count;
  std::span<const std::byte> items;  ///< count x fuse_forget_one
  ForgetOne at(std::uint32_t index) const;
};
struct Getattr {
  std::optional<HandleId> handle;
};
struct Setattr {
  vfs::SetAttr change;
};
struct Readlink {};
struct Symlink {
  std::string_view name, target;
};
struct Mknod {
  std::string_view name;
  std::uint32_t mode, umask, rdev;
};
struct Mkdir {
  std::string_view name;
  std::uint32_t mode, umask;
};
struct Unlink {
  std::string_view name;
};
struct Rmdir {
  std::string_view name;
};
struct Rename {  ///< RENAME and RENAME2
  std::string_view name, new_name;
  Ino to;
  std::uint32_t flags;
};
struct Link {
  Ino ino;  ///< the file; the header's node is the directory
  std::string_view name;
};
struct Open {
  std::uint32_t flags;
  bool kill_suidgid;
};
struct Create {
  std::string_view name;
  std::uint32_t mode, umask, flags;
};
struct Tmpfile {
  std::uint32_t mode, umask, flags;
};
struct Read {
  HandleId handle;
  std::uint64_t offset;
  std::uint32_t size, flags;
};
struct Write {
  HandleId handle;
  std::uint64_t offset;
  std::span<const std::byte> data;
  std::uint32_t flags;
  bool kill_suidgid, from_page_cache;
};
struct Statfs {};
struct Release {
  HandleId handle;
  std::uint64_t lock_owner;
  bool release_flock;
};
struct Fsync {
  HandleId handle;
  bool data_only;
};
struct Setxattr {
  std::string_view name, value;
  std::uint32_t flags;
};
struct Getxattr {
  std::string_view name;
  std::uint32_t size;  ///< 0: only how long the value is
};
struct Listxattr {
  std::uint32_t size;
};
struct Removexattr {
  std::string_view name;
};
struct Flush {
  HandleId handle;
  std::uint64_t lock_owner;
};
struct Init {
  std::uint32_t major, minor, max_readahead;
  std::uint64_t flags;
};
struct Opendir {
  std::uint32_t flags;
};
struct Readdir {  ///< READDIR and READDIRPLUS
  HandleId handle;
  std::uint64_t cookie;
  std::uint32_t size;
  bool plus;
};
struct Releasedir {
  HandleId handle;
};
struct Fsyncdir {
  HandleId handle;
};
struct Getlk {
  HandleId handle;
  std::uint64_t owner;
  vfs::LockRange range;
};
struct Setlk {  ///< SETLK and SETLKW, of fcntl or flock
  HandleId handle;
  std::uint64_t owner;
  vfs::LockRange range;
  bool flock, wait;
};
struct Access {
  std::uint32_t mask;
};
struct Interrupt {
  std::uint64_t unique;
};
struct Ioctl {
  HandleId handle;
  std::uint32_t command, out_size;
  std::span<const std::byte> in;
};
struct Fallocate {
  HandleId handle;
  std::uint64_t offset, length;
  std::uint32_t mode;
};
struct Lseek {
  HandleId handle;
  std::uint64_t offset;
  std::uint32_t whence;
};
struct CopyRange {  ///< COPY_FILE_RANGE and its 64-bit answer
  HandleId in_handle, out_handle;
  std::uint64_t in_offset, out_offset, length;
  Ino out;
  bool wide;
};
struct Destroy {};

using Body = std::variant<Lookup, Forget, BatchForget, Getattr, Setattr, Readlink, Symlink, Mknod, Mkdir, Unlink, Rmdir,
                          Rename, Link, Open, Create, Tmpfile, Read, Write, Statfs, Release, Fsync, Setxattr, Getxattr,
                          Listxattr, Removexattr, Flush, Init, Opendir, Readdir, Releasedir, Fsyncdir, Getlk, Setlk,
                          Access, Interrupt, Ioctl, Fallocate, Lseek, CopyRange, Destroy>;

/// What a transport delivers: the header, then the arguments. /dev/fuse gives them in one piece (`rest` empty, `split`
/// false); FUSE over io_uring gives the fixed argument in `args` and names and data in `rest`.
struct RawRequest {
  fuse_in_header header{};
  std::span<const std::byte> args, rest;
  bool split = false;
};

/// What was negotiated and changes how requests look.
struct Dialect {
  bool setxattr_ext = false;
};

/// Splits what read(2) on /dev/fuse gave. Errors: EPROTO when it is shorter than a header or says another length.
Result<RawRequest> frame(std::span<const std::byte> message);

/// Understands untrusted bytes; never reads outside of them. Errors: ENOSYS for an opcode we do not serve, EINVAL for
/// arguments cut short or malformed (a name that is empty, holds a slash or has no end).
Result<Body> decode(const RawRequest& request, Dialect dialect);

/// Whether the kernel waits for an answer to this opcode.
bool wants_reply(std::uint32_t opcode);

}  // namespace kiseki::fuse
