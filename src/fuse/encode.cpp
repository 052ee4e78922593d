#include "fuse/encode.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>

namespace kiseki::fuse {
namespace {

constexpr std::uint32_t kBlockBytes = 4096;         // statfs counts in these
constexpr std::uint32_t kPreferredIoBytes = 65536;  // st_blksize, as JuiceFS says it

void put_validity(std::chrono::nanoseconds valid, std::uint64_t& sec, std::uint32_t& nsec) {
  auto ns = std::max<std::int64_t>(valid.count(), 0);
  sec = static_cast<std::uint64_t>(ns / 1'000'000'000);
  nsec = static_cast<std::uint32_t>(ns % 1'000'000'000);
}

bool has_length(meta::FileType type) {
  return type == meta::FileType::file || type == meta::FileType::directory || type == meta::FileType::symlink;
}

}  // namespace

std::uint32_t mode_bits(meta::FileType type) {
  switch (type) {
    case meta::FileType::file:
      return S_IFREG;
    case meta::FileType::directory:
      return S_IFDIR;
    case meta::FileType::symlink:
      return S_IFLNK;
    case meta::FileType::fifo:
      return S_IFIFO;
    case meta::FileType::block_device:
      return S_IFBLK;
    case meta::FileType::char_device:
      return S_IFCHR;
    case meta::FileType::socket:
      return S_IFSOCK;
  }
  return 0;
}

fuse_attr encode_attr(Ino ino, const vfs::Attr& attr) {
  fuse_attr out{};
  out.ino = ino.value;
  if (has_length(attr.type)) {
    out.size = attr.length;
    out.blocks = attr.length / 512 + (attr.length % 512 != 0);  // holes count too, as in JuiceFS
  }
  // The kernel reads these as signed: times before 1970 are negative there.
  out.atime = static_cast<std::uint64_t>(attr.atime.sec);
  out.mtime = static_cast<std::uint64_t>(attr.mtime.sec);
  out.ctime = static_cast<std::uint64_t>(attr.ctime.sec);
  out.atimensec = attr.atime.nsec;
  out.mtimensec = attr.mtime.nsec;
  out.ctimensec = attr.ctime.nsec;
  out.mode = mode_bits(attr.type) | (attr.mode & 07777u);
  out.nlink = attr.nlink;
  out.uid = attr.uid;
  out.gid = attr.gid;
  out.rdev = attr.rdev;  // stored as mknod sent it: the kernel's 32-bit encoding both ways
  out.blksize = kPreferredIoBytes;
  return out;
}

fuse_entry_out encode_entry(const vfs::EntryReply& entry) {
  fuse_entry_out out{};
  out.nodeid = entry.ino.value;
  out.generation = 1;  // inode numbers are never used twice
  put_validity(entry.entry_valid, out.entry_valid, out.entry_valid_nsec);
  put_validity(entry.attr_valid, out.attr_valid, out.attr_valid_nsec);
  if (entry.ino != Ino{}) out.attr = encode_attr(entry.ino, entry.attr);
  return out;
}

fuse_attr_out encode_attr_reply(const vfs::AttrReply& reply) {
  fuse_attr_out out{};
  put_validity(reply.attr_valid, out.attr_valid, out.attr_valid_nsec);
  out.attr = encode_attr(reply.ino, reply.attr);
  return out;
}

fuse_open_out encode_open(const vfs::OpenReply& open) {
  fuse_open_out out{};
  out.fh = open.handle.value;
  auto set = [&](bool on, std::uint32_t bit) { out.open_flags |= on ? bit : 0u; };
  set(open.direct_io, FOPEN_DIRECT_IO);
  set(open.keep_cache, FOPEN_KEEP_CACHE);
  set(open.cache_dir, FOPEN_CACHE_DIR);
  set(open.parallel_writes, FOPEN_PARALLEL_DIRECT_WRITES);
  return out;
}

fuse_kstatfs encode_statfs(const vfs::StatfsReply& reply) {
  fuse_kstatfs out{};
  out.bsize = out.frsize = kBlockBytes;
  out.namelen = 255;
  out.blocks = reply.total_bytes / kBlockBytes;
  out.bfree = out.bavail = reply.available_bytes / kBlockBytes;
  out.files = reply.total_inodes;
  out.ffree = reply.available_inodes;
  return out;
}

fuse_lk_out encode_lock(const vfs::LockRange& range) {
  fuse_lk_out out{};
  out.lk = {range.start, range.end, range.type, range.pid};
  return out;
}

bool DirWriter::add(const vfs::DirEntry& entry) {
  auto prefix = plus_ ? sizeof(fuse_entry_out) : 0;
  auto bytes = prefix + sizeof(fuse_dirent) + entry.name.size();
  auto record = FUSE_REC_ALIGN(bytes);
  if (record > space_.size() - used_) return false;
  auto* at = space_.data() + used_;
  if (plus_) {
    fuse_entry_out full{};  // node 0: the kernel looks the name up itself when it wants to know
    if (entry.full != nullptr) full = encode_entry(*entry.full);
    std::memcpy(at, &full, sizeof full);
  }
  fuse_dirent dirent{};
  dirent.ino = entry.ino.value;
  dirent.off = entry.cookie;
  dirent.namelen = static_cast<std::uint32_t>(entry.name.size());
  dirent.type = mode_bits(entry.type) >> 12;
  std::memcpy(at + prefix, &dirent, sizeof dirent);
  std::memcpy(at + prefix + sizeof dirent, entry.name.data(), entry.name.size());
  std::memset(at + bytes, 0, record - bytes);
  used_ += record;
  return true;
}

}  // namespace kiseki::fuse
