#include "null_filesystem.hpp"

#include <sys/mman.h>

#include <array>
#include <cstdio>

#include "null_files.hpp"

using namespace kiseki;

namespace {

constexpr std::size_t kZeroBytes = std::size_t{2} << 20;
constexpr std::size_t kMostNames = 1'000'000;

Answer<void> fine() { return Result<void>{}; }

template <class T>
Answer<T> now(T value) {
  return Result<T>(std::move(value));
}

template <class T>
Async<T> as_coroutine(T value) {
  co_return value;
}

std::string key(Ino parent, std::string_view name) { return std::to_string(parent.value).append("/").append(name); }

}  // namespace

NullFilesystem::NullFilesystem(Options options) : options_(options), next_(nullfiles::kFirstCreated) {
  zeros_ = static_cast<std::byte*>(std::aligned_alloc(kZeroBytes, kZeroBytes));
  ::madvise(zeros_, kZeroBytes, MADV_HUGEPAGE);
  std::fill_n(zeros_, kZeroBytes, std::byte{});
}

NullFilesystem::~NullFilesystem() { std::free(zeros_); }

vfs::Attr NullFilesystem::attributes(Ino ino) const {
  vfs::Attr attr;
  attr.nlink = 1;
  attr.mode = 0666;
  attr.atime = attr.mtime = attr.ctime = {1'700'000'000, 0};
  attr.length = nullfiles::size_of(ino.value);
  if (nullfiles::is_dir(ino.value)) {
    attr.type = meta::FileType::directory;
    attr.mode = 0777;
    attr.nlink = 2;
    attr.length = 4096;
  }
  return attr;
}

NullFilesystem::Entry NullFilesystem::entry(Ino ino) const {
  return {ino, attributes(ino), options_.entry_valid, options_.attr_valid};
}

Ino NullFilesystem::make(Ino parent, Name name) {
  Ino ino{next_++};
  std::lock_guard lock(mutex_);
  if (names_.size() < kMostNames) names_[key(parent, name)] = ino;
  return ino;
}

Answer<vfs::EntryReply> NullFilesystem::lookup(Caller, Ino parent, Name name) {
  if (auto decreed = nullfiles::by_name(parent.value, name)) {
    if (options_.later) return as_coroutine(entry(Ino{decreed}));
    return now(entry(Ino{decreed}));
  }
  std::lock_guard lock(mutex_);
  auto found = names_.find(key(parent, name));
  if (found == names_.end()) return posix(ENOENT);
  return now(entry(found->second));
}

Answer<vfs::AttrReply> NullFilesystem::getattr(Caller, Ino ino, std::optional<Handle>) {
  Attributes reply{ino, attributes(ino), options_.attr_valid};
  if (options_.later) return as_coroutine(reply);
  return now(reply);
}

Answer<vfs::AttrReply> NullFilesystem::setattr(Caller, Ino ino, vfs::SetAttr change) {
  Attributes reply{ino, attributes(ino), options_.attr_valid};
  if (change.set & meta::kLength) reply.attr.length = change.to.length;
  return now(reply);
}

Answer<vfs::OpenReply> NullFilesystem::open(Caller, Ino, u32, bool) {
  Opened reply{Handle{1}};
  reply.direct_io = options_.direct_io;
  reply.keep_cache = options_.keep_cache;
  reply.parallel_writes = options_.parallel_writes;
  return now(reply);
}

Answer<vfs::CreateReply> NullFilesystem::create(Caller who, Ino parent, Name name, u32, u32, u32 flags) {
  auto ino = make(parent, name);
  auto opened = open(who, ino, flags, false);
  return now(Created{entry(ino), *opened.now()});
}

Answer<vfs::EntryReply> NullFilesystem::mknod(Caller, Ino parent, Name name, u32, u32, u32) {
  return now(entry(make(parent, name)));
}

Answer<void> NullFilesystem::unlink(Caller, Ino parent, Name name) {
  std::lock_guard lock(mutex_);
  names_.erase(key(parent, name));
  return fine();
}

Answer<vfs::ReadReply> NullFilesystem::read(Caller, Ino, Handle, u64, u32 size, u32) {
  vfs::ReadReply reply;
  reply.pieces.push_back({zeros_, std::min<std::size_t>(size, kZeroBytes)});
  if (options_.later) return as_coroutine(std::move(reply));
  return now(std::move(reply));
}

Answer<std::uint32_t> NullFilesystem::write(Caller, Ino, Handle, u64, std::span<const std::byte> data, u32, bool,
                                            bool) {
  auto written = static_cast<u32>(data.size());
  if (options_.later) return as_coroutine(written);
  return now(written);
}

Answer<void> NullFilesystem::readdir(Caller, Ino ino, Handle, u64 cookie, bool plus, vfs::DirSink sink) {
  if (ino.value != nullfiles::kListed) return fine();
  for (auto i = cookie; i < nullfiles::kListedCount; ++i) {
    std::array<char, 8> name;
    auto length = std::snprintf(name.data(), name.size(), "e%05u", static_cast<unsigned>(i));
    Ino each{nullfiles::kEntries + i};
    Entry full;
    if (plus) full = entry(each);
    vfs::DirEntry one{
        each, {name.data(), static_cast<std::size_t>(length)}, meta::FileType::file, i + 1, plus ? &full : nullptr};
    if (!sink(one)) break;
  }
  return fine();
}

Answer<vfs::StatfsReply> NullFilesystem::statfs(Caller, Ino) {
  return now(vfs::StatfsReply{u64{1} << 50, u64{1} << 50, 10'000'000, 10'000'000});
}

Answer<std::string> NullFilesystem::readlink(Caller, Ino) { return posix(EINVAL); }
Answer<vfs::EntryReply> NullFilesystem::mkdir(Caller, Ino, Name, u32, u32) { return posix(EPERM); }
Answer<void> NullFilesystem::rmdir(Caller, Ino, Name) { return posix(EPERM); }
Answer<vfs::EntryReply> NullFilesystem::symlink(Caller, Ino, Name, Name) { return posix(EPERM); }
Answer<void> NullFilesystem::rename(Caller, Ino, Name, Ino, Name, u32) { return posix(EPERM); }
Answer<vfs::EntryReply> NullFilesystem::link(Caller, Ino, Ino, Name) { return posix(EPERM); }
Answer<vfs::CreateReply> NullFilesystem::tmpfile(Caller, Ino, u32, u32, u32) { return posix(EOPNOTSUPP); }
Answer<void> NullFilesystem::flush(Caller, Ino, Handle, u64) { return fine(); }
Answer<void> NullFilesystem::fsync(Caller, Ino, Handle, bool) { return fine(); }
Answer<void> NullFilesystem::release(Caller, Ino, Handle, u64, bool) { return fine(); }
Answer<void> NullFilesystem::fallocate(Caller, Ino, Handle, u64, u64, u32) { return fine(); }
Answer<std::uint64_t> NullFilesystem::lseek(Caller, Ino, Handle, u64, u32) { return posix(ENOSYS); }
Answer<std::uint64_t> NullFilesystem::copy_range(Caller, Ino, Handle, u64, Ino, Handle, u64, u64 length) {
  return now(length);
}
Answer<vfs::OpenReply> NullFilesystem::opendir(Caller, Ino, u32) { return now(Opened{Handle{2}}); }
Answer<void> NullFilesystem::releasedir(Caller, Ino, Handle) { return fine(); }
Answer<void> NullFilesystem::fsyncdir(Caller, Ino, Handle) { return fine(); }
Answer<void> NullFilesystem::access(Caller, Ino, u32) { return posix(ENOSYS); }
Answer<void> NullFilesystem::setxattr(Caller, Ino, Name, Name, u32) { return posix(ENOSYS); }
Answer<std::string> NullFilesystem::getxattr(Caller, Ino, Name) { return posix(ENOSYS); }
Answer<std::string> NullFilesystem::listxattr(Caller, Ino) { return posix(ENOSYS); }
Answer<void> NullFilesystem::removexattr(Caller, Ino, Name) { return posix(ENOSYS); }
Answer<vfs::LockRange> NullFilesystem::getlk(Caller, Ino, Handle, u64, vfs::LockRange) { return posix(ENOSYS); }
Answer<void> NullFilesystem::setlk(Caller, Ino, Handle, u64, vfs::LockRange, bool) { return posix(ENOSYS); }
Answer<void> NullFilesystem::flock(Caller, Ino, Handle, u64, u32, bool) { return posix(ENOSYS); }
Answer<vfs::IoctlReply> NullFilesystem::ioctl(Caller, Ino, Handle, u32, std::span<const std::byte>, u32) {
  return posix(ENOTTY);
}
asio::awaitable<void> NullFilesystem::destroyed() { co_return; }
