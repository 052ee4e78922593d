#pragma once

#include <cstdint>

#include "core/clock.hpp"
#include "core/ids.hpp"

namespace kiseki::meta {

/// Values as stored (JuiceFS 1.x node.type).
enum class FileType : std::uint8_t {
  file = 1,
  directory = 2,
  symlink = 3,
  fifo = 4,
  block_device = 5,
  char_device = 6,
  socket = 7,
};

/// Attr::flags bits (JuiceFS 1.x node.flags).
enum AttrFlag : std::uint8_t {
  kImmutable = 1,
  kAppendOnly = 2,
  kHidden = 4,
  kSystem = 8,
  kArchive = 16,
  kSkipTrash = 32
};

/// What is known of an inode.
struct Attr {
  std::uint8_t flags = 0;
  FileType type = FileType::file;
  std::uint16_t mode = 0;  ///< permission bits 07777 only
  std::uint32_t uid = 0, gid = 0;
  Timestamp atime, mtime, ctime;
  std::uint32_t nlink = 0;
  std::uint64_t length = 0;  ///< bytes; directories 4096, symlinks the target's length
  std::uint32_t rdev = 0;
  Ino parent;  ///< 0 for a file that has ever been hard-linked: then parents are found otherwise
  std::uint32_t access_acl = 0, default_acl = 0;  ///< ids of ACL records, 0: none
  std::uint8_t tier = 0;
  friend bool operator==(const Attr&, const Attr&) = default;

  bool is_dir() const { return type == FileType::directory; }
  bool is_file() const { return type == FileType::file; }
};

/// Bits that name fields of Attr in checks and patches.
enum AttrField : std::uint32_t {
  kFlags = 1u << 0,
  kType = 1u << 1,
  kMode = 1u << 2,
  kUid = 1u << 3,
  kGid = 1u << 4,
  kAtime = 1u << 5,
  kMtime = 1u << 6,
  kCtime = 1u << 7,
  kNlink = 1u << 8,
  kLength = 1u << 9,
  kRdev = 1u << 10,
  kParent = 1u << 11,
  kAccessAcl = 1u << 12,
  kDefaultAcl = 1u << 13,
  kTier = 1u << 14,
  kAllFields = (1u << 15) - 1,
  /// What a directory must still be for an entry to be made or removed in it.
  kDirIdentity = kFlags | kType | kMode | kUid | kGid | kParent | kDefaultAcl,
};

/// Space an inode counts for in usage: length rounded up to 4 KiB, at least 4 KiB (JuiceFS sql.md section 9).
constexpr std::int64_t used_space(std::uint64_t length) {
  return length == 0 ? 4096 : static_cast<std::int64_t>((length + 4095) & ~std::uint64_t{4095});
}

}  // namespace kiseki::meta
