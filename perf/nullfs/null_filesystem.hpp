#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <unordered_map>

#include "vfs/filesystem.hpp"

/// Answers everything at once from memory: what is left is the price of the kernel and of the fuse room.
class NullFilesystem final : public kiseki::vfs::Filesystem {
 public:
  struct Options {
    std::chrono::nanoseconds attr_valid{}, entry_valid{std::chrono::hours(1)};
    bool direct_io = false, keep_cache = false, parallel_writes = false;
    bool later = false;  ///< answer by coroutine instead of inline
  };
  explicit NullFilesystem(Options options);
  ~NullFilesystem() override;

  template <class T>
  using Answer = kiseki::Answer<T>;
  using Caller = kiseki::vfs::Caller;
  using Ino = kiseki::Ino;
  using Handle = kiseki::HandleId;
  using Name = std::string_view;
  using u32 = std::uint32_t;
  using u64 = std::uint64_t;
  using Entry = kiseki::vfs::EntryReply;
  using Attributes = kiseki::vfs::AttrReply;
  using Opened = kiseki::vfs::OpenReply;
  using Created = kiseki::vfs::CreateReply;

  Answer<Entry> lookup(Caller, Ino parent, Name name) override;
  void forget(Ino, u64) override {}
  Answer<Attributes> getattr(Caller, Ino ino, std::optional<Handle>) override;
  Answer<Attributes> setattr(Caller, Ino ino, kiseki::vfs::SetAttr change) override;
  Answer<std::string> readlink(Caller, Ino) override;
  Answer<Entry> mknod(Caller, Ino parent, Name name, u32, u32, u32) override;
  Answer<Entry> mkdir(Caller, Ino, Name, u32, u32) override;
  Answer<void> unlink(Caller, Ino parent, Name name) override;
  Answer<void> rmdir(Caller, Ino, Name) override;
  Answer<Entry> symlink(Caller, Ino, Name, Name) override;
  Answer<void> rename(Caller, Ino, Name, Ino, Name, u32) override;
  Answer<Entry> link(Caller, Ino, Ino, Name) override;
  Answer<Opened> open(Caller, Ino, u32, bool) override;
  Answer<Created> create(Caller, Ino parent, Name name, u32, u32, u32) override;
  Answer<Created> tmpfile(Caller, Ino, u32, u32, u32) override;
  Answer<kiseki::vfs::ReadReply> read(Caller, Ino, Handle, u64, u32 size, u32) override;
  Answer<u32> write(Caller, Ino, Handle, u64, std::span<const std::byte> data, u32, bool, bool) override;
  Answer<void> flush(Caller, Ino, Handle, u64) override;
  Answer<void> fsync(Caller, Ino, Handle, bool) override;
  Answer<void> release(Caller, Ino, Handle, u64, bool) override;
  Answer<void> fallocate(Caller, Ino, Handle, u64, u64, u32) override;
  Answer<u64> lseek(Caller, Ino, Handle, u64, u32) override;
  Answer<u64> copy_range(Caller, Ino, Handle, u64, Ino, Handle, u64, u64 length) override;
  Answer<Opened> opendir(Caller, Ino, u32) override;
  Answer<void> readdir(Caller, Ino ino, Handle, u64 cookie, bool plus, kiseki::vfs::DirSink sink) override;
  Answer<void> releasedir(Caller, Ino, Handle) override;
  Answer<void> fsyncdir(Caller, Ino, Handle) override;
  Answer<kiseki::vfs::StatfsReply> statfs(Caller, Ino) override;
  Answer<void> access(Caller, Ino, u32) override;
  Answer<void> setxattr(Caller, Ino, Name, Name, u32) override;
  Answer<std::string> getxattr(Caller, Ino, Name) override;
  Answer<std::string> listxattr(Caller, Ino) override;
  Answer<void> removexattr(Caller, Ino, Name) override;
  Answer<kiseki::vfs::LockRange> getlk(Caller, Ino, Handle, u64, kiseki::vfs::LockRange) override;
  Answer<void> setlk(Caller, Ino, Handle, u64, kiseki::vfs::LockRange, bool) override;
  Answer<void> flock(Caller, Ino, Handle, u64, u32, bool) override;
  Answer<kiseki::vfs::IoctlReply> ioctl(Caller, Ino, Handle, u32, std::span<const std::byte>, u32) override;
  kiseki::asio::awaitable<void> destroyed() override;

 private:
  kiseki::vfs::Attr attributes(Ino ino) const;
  Entry entry(Ino ino) const;
  Ino make(Ino parent, Name name);

  Options options_;
  std::byte* zeros_;
  std::atomic<u64> next_;
  std::mutex mutex_;                            // guards names_
  std::unordered_map<std::string, Ino> names_;  // created and not yet removed
};
