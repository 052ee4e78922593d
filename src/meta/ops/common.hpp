#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "meta/ops.hpp"
#include "meta/txn.hpp"

/// Words that several operations share. Internal to meta/ops.
namespace kiseki::meta::op {

inline constexpr std::size_t kMaxName = 255, kMaxTarget = 4096;
inline constexpr std::uint32_t kMaxLinks = 0x7FFFFFFF;  ///< what a signed 32-bit column of a shared database holds
inline constexpr std::uint16_t kSetUid = 04000, kSetGid = 02000, kSticky = 01000;

/// EINVAL for an empty name, '/' or NUL in it; ENAMETOOLONG; EEXIST for "." and "..", and ".trash" in the root.
Result<void> check_new_name(Ino parent, std::string_view name);
/// ENAMETOOLONG, ENOENT for what cannot be a name.
Result<void> check_old_name(std::string_view name);

enum : std::uint32_t { kRead = 4, kWrite = 2, kExecute = 1 };
/// Mode bits and ACL of a loaded inode, if `who` wants them checked here. Errors: EACCES.
Async<void> need_access(Txn& txn, Who who, Ino ino, std::uint32_t mask);

/// The parent, loaded, is a live directory where an entry may be made (and checks that it stays so).
/// Errors: ENOENT (gone, or in the trash), ENOTDIR, EPERM (immutable; in the trash root itself), EACCES.
Async<void> need_parent_for_making(Txn& txn, Who who, Ino parent);
/// The same for taking an entry away: EPERM for append-only directories too, and in the trash for all but root.
Async<void> need_parent_for_removing(Txn& txn, Who who, Ino parent);
/// EPERM when the sticky bit of `parent` forbids `who` to take away `child`.
Result<void> check_sticky(Who who, const Attr& parent, const Attr& child);

/// Sets mtime and ctime of a loaded directory, unless they are younger than skip_dir_mtime and nlink stays. Never in
/// the trash.
void touch_directory(Txn& txn, Ino dir, Timestamp now, std::int32_t add_nlink = 0);

/// What a new inode has of its maker and of the loaded directory it is made in: owner, group (a set-group-id directory
/// gives its own), storage tier, and whether it skips the trash.
void inherit_owner(Attr& attr, Who who, const Attr& above);

/// `dir` and the directories above it, up to the root (or the trash, or a missing one). Loads them. Errors: ELOOP for a
/// chain that does not end.
Async<std::vector<Ino>> chain_of(Txn& txn, Ino dir);

// ---- what is counted: always in the commit that causes it ----

/// What an inode adds to the sums of a directory that holds it.
DirStat weight_of(const Attr& attr);
inline DirStat minus(DirStat d) { return {-d.length, -d.space, -d.inodes}; }
/// Sums of a directory, and usage of every directory quota above it. With `limits`: EDQUOT.
Async<void> count_in_directory(Txn& txn, Ino dir, DirStat delta, bool limits);
/// The same for every directory that holds a link of this loaded inode.
Async<void> count_in_parents(Txn& txn, Ino ino, DirStat delta, bool limits);
/// Usage of the volume; growth beyond its limits, or beyond what can be counted, fails the commit with ENOSPC.
void count_in_volume(Txn& txn, std::int64_t space, std::int64_t inodes);
/// Whether the quota of a user or a group has room for so much more: EDQUOT.
Result<void> check_room_of(Client& client, QuotaKey owner, std::int64_t space, std::int64_t inodes);
/// Usage of a user or a group, when the volume tracks it. Growth: EDQUOT.
Result<void> count_for(Txn& txn, QuotaKey owner, std::int64_t space, std::int64_t inodes);
/// The same for both owners of an inode.
Result<void> count_for_owner(Txn& txn, std::uint32_t uid, std::uint32_t gid, std::int64_t space, std::int64_t inodes);

// ---- taking a name away from an inode: unlink, rmdir, the target of a rename ----

struct Taken {
  Removed removed;
  bool file_released = false;  ///< tell the reaper
};
/// Everything but the entry itself and the parent's times and nlink. The inode is loaded and may be removed; `trash` is
/// the hour's directory (loaded), or 0.
Async<Taken> take_name(Txn& txn, Ino parent, std::string name, Ino ino, Ino trash, Timestamp now);
/// `<parent>-<ino>-<name>` cut to 255 bytes.
std::string trash_name(Ino parent, Ino ino, std::string_view name);
/// What must be loaded for that: the directory, the name and what it stands for, the trash.
Keys keys_for_taking(Ino parent, const std::string& name, Ino trash);
/// `name` is to be new in `parent`: EEXIST, now or at the commit. Nothing is asked for that: what the cache does not
/// know is left to the commit.
Async<void> need_no_entry(Txn& txn, Ino parent, const std::string& name);
/// Where removed things go now: 0 without a trash or below it.
Async<Ino> trash_now(Client& client, Ino parent, bool skip, bool again);
/// The hour's directory vanished under us: ask for it again.
inline std::error_code trash_vanished() { return posix(ESTALE); }
void tell_reaper(Client& client, const Taken& taken);

/// What stays of a mode when somebody unprivileged changes the file: set-user-id goes, set-group-id from what its group
/// may execute, and from all when `who` is not in that group.
std::uint16_t without_setid(const Attr& attr, Who who);
/// The same as a patch of the loaded inode, in the commit of the change itself.
void drop_setid(Txn& txn, Who who, Ino ino);

/// Checks and effects of a length change that all ways of writing share: counts what is gained or lost.
Async<void> count_length(Txn& txn, Ino ino, std::uint64_t length);
/// Hole records over [begin, end): its first and last chunk always, chunks between only if in `existing`.
void append_holes(Txn& txn, Ino ino, std::uint64_t begin, std::uint64_t end, const std::vector<ChunkIndex>& existing);

}  // namespace kiseki::meta::op
