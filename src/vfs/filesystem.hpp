#pragma once

#include <sys/uio.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/answer.hpp"
#include "core/ids.hpp"
#include "meta/attr.hpp"

namespace kiseki::vfs {

using meta::Attr;

/// Who asks. The kernel does not send supplementary groups, and nobody looks them up: checks that are made here
/// (--non-default-permission) go by uid and gid alone.
struct Caller {
  std::uint32_t uid = 0, gid = 0, pid = 0;
};

struct EntryReply {  ///< what a name led to, and how long the kernel may believe it
  Ino ino;           ///< 0: a negative entry, cacheable for `entry_valid`
  Attr attr;
  std::chrono::nanoseconds entry_valid{}, attr_valid{};
};
struct AttrReply {
  Ino ino;
  Attr attr;
  std::chrono::nanoseconds attr_valid{};
};
/// How the kernel should treat this open file (FOPEN_* in the fuse room).
struct OpenReply {
  HandleId handle;
  bool direct_io = false;        ///< bypass the page cache
  bool keep_cache = false;       ///< the page cache of an earlier open is still right
  bool cache_dir = false;        ///< the kernel may cache the listing
  bool parallel_writes = false;  ///< direct writes need no exclusive lock
};
struct CreateReply {
  EntryReply entry;
  OpenReply open;
};
/// File bytes that stay put while `owner` lives: pieces of cache blocks, holes, or a buffer of their own.
struct ReadReply {
  std::vector<iovec> pieces;
  std::shared_ptr<const void> owner;
};
struct StatfsReply {
  std::uint64_t total_bytes = 0, available_bytes = 0, total_inodes = 0, available_inodes = 0;
};
struct DirEntry {
  Ino ino;
  std::string_view name;
  meta::FileType type = meta::FileType::file;
  std::uint64_t cookie = 0;          ///< where the next readdir goes on after this entry
  const EntryReply* full = nullptr;  ///< readdirplus only; null: attributes unknown, the kernel will ask
};
/// Takes entries one by one; false: the buffer is full, this one was not taken.
using DirSink = std::function<bool(const DirEntry&)>;

/// What setattr changes: AttrField bits of kMode kUid kGid kLength kAtime kMtime kCtime kFlags.
struct SetAttr {
  std::uint32_t set = 0;
  Attr to{};
  bool atime_now = false, mtime_now = false;
  bool kill_suidgid = false;            ///< FATTR_KILL_SUIDGID
  std::optional<HandleId> handle = {};  ///< ftruncate
};
struct LockRange {  ///< fcntl record lock as the kernel speaks of it
  std::uint64_t start = 0, end = 0;
  std::uint32_t type = 2, pid = 0;  ///< F_RDLCK 0, F_WRLCK 1, F_UNLCK 2
};
struct IoctlReply {
  std::int32_t result = 0;
  std::vector<std::byte> out;
};

/// In the flags of setxattr, beside XATTR_CREATE and XATTR_REPLACE: setting an access ACL also clears the setgid bit,
/// because the caller is not in the file's group (FUSE_SETXATTR_ACL_KILL_SGID).
inline constexpr std::uint32_t kSetxattrKillSgid = 1u << 31;

/// Tells the kernel that what it cached is no longer right. Safe from any thread; never waits for the kernel.
class KernelCache {
 public:
  virtual ~KernelCache() = default;
  virtual void forget_entry(Ino parent, std::string name) = 0;
  virtual void forget_data(Ino ino, std::uint64_t offset,
                           std::uint64_t length) = 0;  ///< length 0: to the end; attributes too
  /// Attributes alone. Has happened when this returns.
  virtual void forget_attr(Ino ino) = 0;
  /// Whether a file opened past the page cache (OpenReply::direct_io) can be mapped, shared and writable too.
  virtual bool maps_direct_files() const { return false; }
  /// Whether it gathers writes in its page cache and hands them out later.
  virtual bool gathers_writes() const { return false; }
};

/// A file system as a kernel asks for it; the fuse room speaks to this, and so may anything else. Arguments passed as
/// views and spans live until the answer is given. Each call runs on the loop where the request arrived; an answer that
/// is ready needs no coroutine. Errors are errnos.
class Filesystem {
 public:
  virtual ~Filesystem() = default;
  virtual void attached(KernelCache&) {}

  virtual Answer<EntryReply> lookup(Caller, Ino parent, std::string_view name) = 0;
  virtual void forget(Ino ino, std::uint64_t lookups) = 0;
  virtual Answer<AttrReply> getattr(Caller, Ino, std::optional<HandleId>) = 0;
  virtual Answer<AttrReply> setattr(Caller, Ino, SetAttr) = 0;
  virtual Answer<std::string> readlink(Caller, Ino) = 0;
  virtual Answer<EntryReply> mknod(Caller, Ino parent, std::string_view name, std::uint32_t mode, std::uint32_t umask,
                                   std::uint32_t rdev) = 0;
  virtual Answer<EntryReply> mkdir(Caller, Ino parent, std::string_view name, std::uint32_t mode,
                                   std::uint32_t umask) = 0;
  virtual Answer<void> unlink(Caller, Ino parent, std::string_view name) = 0;
  virtual Answer<void> rmdir(Caller, Ino parent, std::string_view name) = 0;
  virtual Answer<EntryReply> symlink(Caller, Ino parent, std::string_view name, std::string_view target) = 0;
  virtual Answer<void> rename(Caller, Ino from, std::string_view name, Ino to, std::string_view new_name,
                              std::uint32_t flags) = 0;
  virtual Answer<EntryReply> link(Caller, Ino, Ino to, std::string_view new_name) = 0;

  virtual Answer<OpenReply> open(Caller, Ino, std::uint32_t flags, bool kill_suidgid) = 0;
  virtual Answer<CreateReply> create(Caller, Ino parent, std::string_view name, std::uint32_t mode, std::uint32_t umask,
                                     std::uint32_t flags) = 0;
  virtual Answer<CreateReply> tmpfile(Caller, Ino parent, std::uint32_t mode, std::uint32_t umask,
                                      std::uint32_t flags) = 0;
  virtual Answer<ReadReply> read(Caller, Ino, HandleId, std::uint64_t offset, std::uint32_t size,
                                 std::uint32_t open_flags) = 0;
  /// `data` may be consumed after the call returned only if the answer is not ready. `open_flags`: with those of this
  /// very write (RWF_DSYNC).
  virtual Answer<std::uint32_t> write(Caller, Ino, HandleId, std::uint64_t offset, std::span<const std::byte> data,
                                      std::uint32_t open_flags, bool kill_suidgid, bool from_page_cache) = 0;
  virtual Answer<void> flush(Caller, Ino, HandleId, std::uint64_t lock_owner) = 0;
  virtual Answer<void> fsync(Caller, Ino, HandleId, bool data_only) = 0;
  virtual Answer<void> release(Caller, Ino, HandleId, std::uint64_t lock_owner, bool release_flock) = 0;
  virtual Answer<void> fallocate(Caller, Ino, HandleId, std::uint64_t offset, std::uint64_t length,
                                 std::uint32_t mode) = 0;
  virtual Answer<std::uint64_t> lseek(Caller, Ino, HandleId, std::uint64_t offset, std::uint32_t whence) = 0;
  virtual Answer<std::uint64_t> copy_range(Caller, Ino in, HandleId in_handle, std::uint64_t in_offset, Ino out,
                                           HandleId out_handle, std::uint64_t out_offset, std::uint64_t length) = 0;

  virtual Answer<OpenReply> opendir(Caller, Ino, std::uint32_t flags) = 0;
  /// Feeds entries after `cookie` (0: from the start) to `sink` until it is full. `plus`: with attributes, each
  /// counting as a lookup.
  virtual Answer<void> readdir(Caller, Ino, HandleId, std::uint64_t cookie, bool plus, DirSink sink) = 0;
  virtual Answer<void> releasedir(Caller, Ino, HandleId) = 0;
  virtual Answer<void> fsyncdir(Caller, Ino, HandleId) = 0;

  virtual Answer<StatfsReply> statfs(Caller, Ino) = 0;
  virtual Answer<void> access(Caller, Ino, std::uint32_t mask) = 0;
  virtual Answer<void> setxattr(Caller, Ino, std::string_view name, std::string_view value, std::uint32_t flags) = 0;
  virtual Answer<std::string> getxattr(Caller, Ino, std::string_view name) = 0;
  virtual Answer<std::string> listxattr(Caller, Ino) = 0;  ///< names, each with a closing NUL
  virtual Answer<void> removexattr(Caller, Ino, std::string_view name) = 0;

  virtual Answer<LockRange> getlk(Caller, Ino, HandleId, std::uint64_t owner, LockRange) = 0;
  virtual Answer<void> setlk(Caller, Ino, HandleId, std::uint64_t owner, LockRange, bool wait) = 0;
  /// type: F_RDLCK shared, F_WRLCK exclusive, F_UNLCK release.
  virtual Answer<void> flock(Caller, Ino, HandleId, std::uint64_t owner, std::uint32_t type, bool wait) = 0;
  virtual Answer<IoctlReply> ioctl(Caller, Ino, HandleId, std::uint32_t command, std::span<const std::byte> in,
                                   std::uint32_t out_size) = 0;

  /// The kernel let go of everything (unmount): flush what is open. Called once, after the last request.
  virtual asio::awaitable<void> destroyed() = 0;
};

}  // namespace kiseki::vfs
