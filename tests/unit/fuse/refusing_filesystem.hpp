#pragma once

#include "vfs/filesystem.hpp"

namespace kiseki::fuse::test {

/// Refuses everything with ENOSYS; tests override what they are about.
class RefusingFilesystem : public vfs::Filesystem {
 public:
  using Caller = vfs::Caller;
  using Handle = HandleId;
  using Name = std::string_view;
  using u32 = std::uint32_t;
  using u64 = std::uint64_t;

  Answer<vfs::EntryReply> lookup(Caller, Ino, Name) override { return no(); }
  void forget(Ino, u64) override {}
  Answer<vfs::AttrReply> getattr(Caller, Ino, std::optional<Handle>) override { return no(); }
  Answer<vfs::AttrReply> setattr(Caller, Ino, vfs::SetAttr) override { return no(); }
  Answer<std::string> readlink(Caller, Ino) override { return no(); }
  Answer<vfs::EntryReply> mknod(Caller, Ino, Name, u32, u32, u32) override { return no(); }
  Answer<vfs::EntryReply> mkdir(Caller, Ino, Name, u32, u32) override { return no(); }
  Answer<void> unlink(Caller, Ino, Name) override { return no(); }
  Answer<void> rmdir(Caller, Ino, Name) override { return no(); }
  Answer<vfs::EntryReply> symlink(Caller, Ino, Name, Name) override { return no(); }
  Answer<void> rename(Caller, Ino, Name, Ino, Name, u32) override { return no(); }
  Answer<vfs::EntryReply> link(Caller, Ino, Ino, Name) override { return no(); }
  Answer<vfs::OpenReply> open(Caller, Ino, u32, bool) override { return no(); }
  Answer<vfs::CreateReply> create(Caller, Ino, Name, u32, u32, u32) override { return no(); }
  Answer<vfs::CreateReply> tmpfile(Caller, Ino, u32, u32, u32) override { return no(); }
  Answer<vfs::ReadReply> read(Caller, Ino, Handle, u64, u32, u32) override { return no(); }
  Answer<u32> write(Caller, Ino, Handle, u64, std::span<const std::byte>, u32, bool, bool) override { return no(); }
  Answer<void> flush(Caller, Ino, Handle, u64) override { return no(); }
  Answer<void> fsync(Caller, Ino, Handle, bool) override { return no(); }
  Answer<void> release(Caller, Ino, Handle, u64, bool) override { return no(); }
  Answer<void> fallocate(Caller, Ino, Handle, u64, u64, u32) override { return no(); }
  Answer<u64> lseek(Caller, Ino, Handle, u64, u32) override { return no(); }
  Answer<u64> copy_range(Caller, Ino, Handle, u64, Ino, Handle, u64, u64) override { return no(); }
  Answer<vfs::OpenReply> opendir(Caller, Ino, u32) override { return no(); }
  Answer<void> readdir(Caller, Ino, Handle, u64, bool, vfs::DirSink) override { return no(); }
  Answer<void> releasedir(Caller, Ino, Handle) override { return no(); }
  Answer<void> fsyncdir(Caller, Ino, Handle) override { return no(); }
  Answer<vfs::StatfsReply> statfs(Caller, Ino) override { return no(); }
  Answer<void> access(Caller, Ino, u32) override { return no(); }
  Answer<void> setxattr(Caller, Ino, Name, Name, u32) override { return no(); }
  Answer<std::string> getxattr(Caller, Ino, Name) override { return no(); }
  Answer<std::string> listxattr(Caller, Ino) override { return no(); }
  Answer<void> removexattr(Caller, Ino, Name) override { return no(); }
  Answer<vfs::LockRange> getlk(Caller, Ino, Handle, u64, vfs::LockRange) override { return no(); }
  Answer<void> setlk(Caller, Ino, Handle, u64, vfs::LockRange, bool) override { return no(); }
  Answer<void> flock(Caller, Ino, Handle, u64, u32, bool) override { return no(); }
  Answer<vfs::IoctlReply> ioctl(Caller, Ino, Handle, u32, std::span<const std::byte>, u32) override { return no(); }
  asio::awaitable<void> destroyed() override { co_return; }

 protected:
  static std::error_code no() { return posix(ENOSYS); }
};

template <class T>
Answer<T> now(T value) {
  return Result<T>(std::move(value));
}
inline Answer<void> fine() { return Result<void>{}; }

}  // namespace kiseki::fuse::test
