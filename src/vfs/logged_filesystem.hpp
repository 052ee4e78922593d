#pragma once

#include "vfs/access_log.hpp"
#include "vfs/filesystem.hpp"

namespace kiseki::vfs {

/// A file system that tells an access log what it is asked, while somebody reads that.
class LoggedFilesystem final : public Filesystem {
 public:
  LoggedFilesystem(Filesystem& inner, AccessLog& log) : inner_(inner), log_(log) {}

  void attached(KernelCache& kernel) override { inner_.attached(kernel); }
  Answer<EntryReply> lookup(Caller, Ino parent, std::string_view name) override;
  void forget(Ino ino, std::uint64_t lookups) override { inner_.forget(ino, lookups); }
  Answer<AttrReply> getattr(Caller, Ino, std::optional<HandleId>) override;
  Answer<AttrReply> setattr(Caller, Ino, SetAttr) override;
  Answer<std::string> readlink(Caller, Ino) override;
  Answer<EntryReply> mknod(Caller, Ino parent, std::string_view name, std::uint32_t mode, std::uint32_t umask,
                           std::uint32_t rdev) override;
  Answer<EntryReply> mkdir(Caller, Ino parent, std::string_view name, std::uint32_t mode, std::uint32_t umask) override;
  Answer<void> unlink(Caller, Ino parent, std::string_view name) override;
  Answer<void> rmdir(Caller, Ino parent, std::string_view name) override;
  Answer<EntryReply> symlink(Caller, Ino parent, std::string_view name, std::string_view target) override;
  Answer<void> rename(Caller, Ino from, std::string_view name, Ino to, std::string_view new_name,
                      std::uint32_t flags) override;
  Answer<EntryReply> link(Caller, Ino, Ino to, std::string_view new_name) override;

  Answer<OpenReply> open(Caller, Ino, std::uint32_t flags, bool kill_suidgid) override;
  Answer<CreateReply> create(Caller, Ino parent, std::string_view name, std::uint32_t mode, std::uint32_t umask,
                             std::uint32_t flags) override;
  Answer<CreateReply> tmpfile(Caller, Ino parent, std::uint32_t mode, std::uint32_t umask,
                              std::uint32_t flags) override;
  Answer<ReadReply> read(Caller, Ino, HandleId, std::uint64_t offset, std::uint32_t size,
                         std::uint32_t open_flags) override;
  Answer<std::uint32_t> write(Caller, Ino, HandleId, std::uint64_t offset, std::span<const std::byte> data,
                              std::uint32_t open_flags, bool kill_suidgid, bool from_page_cache) override;
  Answer<void> flush(Caller, Ino, HandleId, std::uint64_t lock_owner) override;
  Answer<void> fsync(Caller, Ino, HandleId, bool data_only) override;
  Answer<void> release(Caller, Ino, HandleId, std::uint64_t lock_owner, bool release_flock) override;
  Answer<void> fallocate(Caller, Ino, HandleId, std::uint64_t offset, std::uint64_t length,
                         std::uint32_t mode) override;
  Answer<std::uint64_t> lseek(Caller, Ino, HandleId, std::uint64_t offset, std::uint32_t whence) override;
  Answer<std::uint64_t> copy_range(Caller, Ino in, HandleId in_handle, std::uint64_t in_offset, Ino out,
                                   HandleId out_handle, std::uint64_t out_offset, std::uint64_t length) override;

  Answer<OpenReply> opendir(Caller, Ino, std::uint32_t flags) override;
  Answer<void> readdir(Caller, Ino, HandleId, std::uint64_t cookie, bool plus, DirSink sink) override;
  Answer<void> releasedir(Caller, Ino, HandleId) override;
  Answer<void> fsyncdir(Caller who, Ino ino, HandleId handle) override { return inner_.fsyncdir(who, ino, handle); }

  Answer<StatfsReply> statfs(Caller, Ino) override;
  Answer<void> access(Caller, Ino, std::uint32_t mask) override;
  Answer<void> setxattr(Caller, Ino, std::string_view name, std::string_view value, std::uint32_t flags) override;
  Answer<std::string> getxattr(Caller, Ino, std::string_view name) override;
  Answer<std::string> listxattr(Caller, Ino) override;
  Answer<void> removexattr(Caller, Ino, std::string_view name) override;

  Answer<LockRange> getlk(Caller, Ino, HandleId, std::uint64_t owner, LockRange) override;
  Answer<void> setlk(Caller, Ino, HandleId, std::uint64_t owner, LockRange, bool wait) override;
  Answer<void> flock(Caller, Ino, HandleId, std::uint64_t owner, std::uint32_t type, bool wait) override;
  Answer<IoctlReply> ioctl(Caller, Ino, HandleId, std::uint32_t command, std::span<const std::byte> in,
                           std::uint32_t out_size) override;

  asio::awaitable<void> destroyed() override { return inner_.destroyed(); }

 private:
  Filesystem& inner_;
  AccessLog& log_;
};

}  // namespace kiseki::vfs
