#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "fuse/abi.hpp"
#include "vfs/filesystem.hpp"

/// Answers as the kernel's structs.
namespace kiseki::fuse {

fuse_attr encode_attr(Ino ino, const vfs::Attr& attr);
fuse_entry_out encode_entry(const vfs::EntryReply& entry);
fuse_attr_out encode_attr_reply(const vfs::AttrReply& reply);
fuse_open_out encode_open(const vfs::OpenReply& open);
fuse_kstatfs encode_statfs(const vfs::StatfsReply& reply);
fuse_lk_out encode_lock(const vfs::LockRange& range);

/// S_IFMT bits of a type.
std::uint32_t mode_bits(meta::FileType type);

/// Writes directory entries one after another into a buffer.
class DirWriter {
 public:
  DirWriter() = default;
  DirWriter(std::span<std::byte> space, bool plus) : space_(space), plus_(plus) {}
  bool add(const vfs::DirEntry& entry);  ///< false: does not fit
  std::span<const std::byte> written() const { return space_.first(used_); }

 private:
  std::span<std::byte> space_;
  std::size_t used_ = 0;
  bool plus_ = false;
};

}  // namespace kiseki::fuse
