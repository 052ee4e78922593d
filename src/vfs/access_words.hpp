#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "vfs/filesystem.hpp"
#include "vfs/internal_files.hpp"

/// The words of an access log's line, as JuiceFS writes them (tools.md 3.3).
namespace kiseki::vfs::words {

/// Names as they are; with bytes in them that would spoil a line, as a Go string literal without its quotes.
std::string quoted(std::string_view text);
/// "drwxr-xr-x:040755": letters of a mode, then its octal digits, at least four of the bits in `shown`.
std::string mode(std::uint32_t mode, std::uint32_t shown);
/// " (INO,[PERM:0MODE,nlink,uid,gid,atime,mtime,ctime,length])"; empty for no entry.
std::string entry(Ino ino, const Attr& attr);
/// "0x1,[mode=...]": what a setattr changes.
std::string changes(const SetAttr& change);
/// R, W or U of a record lock; LOCKSH, LOCKEX or UNLOCK of a whole file's.
std::string_view lock_type(std::uint32_t type);
std::string_view flock_type(std::uint32_t type);
inline bool is_access_log(Ino ino) { return ino == kAccessLogIno; }

}  // namespace kiseki::vfs::words
