#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "meta/client.hpp"

/// POSIX, written once over transactional records: one file per operation in meta/ops/. Every function is one round
/// trip when what it reads is cached, retries on conflict by itself, and answers errnos as Linux documents them.
/// `client` outlives the call; names and targets are owned. Permission checks are the kernel's (default_permissions)
/// but for what it cannot know: sticky trash, immutable/append flags, trash inodes.
namespace kiseki::meta {

struct Who {
  std::uint32_t uid = 0, gid = 0;
  bool check_permissions = false;  ///< --non-default-permission: check mode bits here
};
Async<InodeEntry> lookup(Client&, Ino parent, std::string name);
Async<Attr> getattr(Client&, Ino ino);

struct NewInode {
  FileType type = FileType::file;
  std::uint16_t mode = 0, umask = 0;
  std::uint32_t rdev = 0;
  std::string target;  ///< of a symlink
};
/// mknod, mkdir, symlink, create. EEXIST when the name exists.
Async<InodeEntry> make(Client&, Who, Ino parent, std::string name, NewInode what);
/// An inode with no name, sustained by this session (O_TMPFILE).
Async<InodeEntry> make_nameless(Client&, Who, Ino parent, NewInode what);
Async<InodeEntry> link(Client&, Who, Ino ino, Ino parent, std::string name);

struct Removed {
  Ino ino;
  Attr attr;                                ///< after: nlink 0 when the last name went
  bool data_released = false;               ///< a DeletedFile record was written (the reaper was told)
  bool sustained = false;                   ///< it was open: goes with release_sustained
  std::shared_ptr<const void> closed = {};  ///< what was erased is opened by no writer as long as this lives
};
Async<Removed> unlink(Client&, Who, Ino parent, std::string name, bool skip_trash = false);
Async<Removed> rmdir(Client&, Who, Ino parent, std::string name, bool skip_trash = false);

struct Renamed {
  Ino ino;                          ///< what moved
  std::optional<Removed> replaced;  ///< what stood there before
  std::optional<Ino> exchanged;
};
/// flags: RENAME_NOREPLACE 1, RENAME_EXCHANGE 2, RENAME_WHITEOUT 4. EINVAL for a directory into its own subtree, at any
/// depth (the whole chain is checked; every climb is bounded).
Async<Renamed> rename(Client&, Who, Ino parent, std::string name, Ino to_parent, std::string to_name,
                      std::uint32_t flags);

Async<std::string> readlink(Client&, Ino ino);

struct AttrChange {
  std::uint32_t set = 0;  ///< AttrField bits of kMode kUid kGid kAtime kMtime kFlags
  Attr to;
  bool atime_now = false, mtime_now = false;
  bool kill_suidgid = false;
};
Async<Attr> setattr(Client&, Who, Ino ino, AttrChange change);
/// Sets the length: hole records over what must read as zeros. Also clears suid/sgid when told.
Async<Attr> truncate(Client&, Who, Ino ino, std::uint64_t length, bool kill_suidgid);
/// mode: FALLOC_FL_* bits; collapse and insert EOPNOTSUPP. ENOSPC for more than statfs says is free.
Async<Attr> fallocate(Client&, Who, Ino ino, std::uint64_t offset, std::uint64_t length, std::uint32_t mode,
                      bool kill_suidgid);
Async<void> touch_atime(Client&, Ino ino);
/// By the mount's atime mode, an access now changes the access time.
bool atime_is_due(const ClientOptions& options, const Attr& attr, Timestamp now);

/// Records of one chunk, oldest first; from the cache when coherent.
Async<Slices> read_slices(Client&, Ino ino, ChunkIndex index);
struct WrittenSlice {
  std::uint32_t records = 0;  ///< of the chunk, after: the compaction trigger
  Attr attr;                  ///< after (as far as known)
};
/// Appends one record and grows the file. ENOENT when the inode is gone, ENOSPC/EDQUOT over a limit.
Async<WrittenSlice> write_slice(Client&, Ino ino, ChunkIndex index, Slice slice, Timestamp mtime);
struct PlacedSlice {  ///< a record and the chunk it goes to
  ChunkIndex index;
  Slice slice;
};
/// Where records go: to their places, or one after another to the end that the file has in that moment, whatever their
/// places say.
enum class Placing { given, at_end };
/// A change of attributes that goes with records of the same file, after them.
struct AttrOrder {
  Who who;
  AttrChange change;
};
struct WrittenSlices {
  struct Chunk {
    ChunkIndex index;
    std::uint32_t records = 0, added = 0;  ///< of the chunk, after; of them new
  };
  std::vector<Chunk> chunks;  ///< each chunk touched, once
  Attr attr;
  std::error_code refused;  ///< why the AttrOrder was not carried out; the records were written
  bool moved = false;       ///< the end was not where they were meant to be
};
/// Appends many records of one file in one commit, in order. Several may show parts of one slice: it then counts as
/// many references. Errors as write_slice, and EFBIG.
Async<WrittenSlices> write_slices(Client&, Ino ino, std::vector<PlacedSlice> records, Timestamp mtime,
                                  std::optional<AttrOrder> with = {}, Placing placing = Placing::given);
struct CopiedRange {
  std::uint64_t bytes = 0;
  Attr attr;
};
/// Copies by reference: translated records, shared slices.
Async<CopiedRange> copy_range(Client&, Who, Ino in, std::uint64_t in_offset, Ino out, std::uint64_t out_offset,
                              std::uint64_t length, bool kill_suidgid);
/// What a compaction made of records: one new slice, and the records that show its parts between the holes. Without
/// records (only holes were left) nothing is stored of it, and the id names what it replaced.
struct CompactedSlice {
  SliceId id;
  std::uint32_t size = 0;
  Slices records;  ///< all of this slice
};
/// Replaces records [first, first+count) of a chunk, seen as `seen`, by those of a new slice. ESTALE when they changed
/// meanwhile (the new slice is then released). With trash the old slices are delayed, else released.
Async<void> compacted(Client&, Ino ino, ChunkIndex index, Slices seen, std::uint32_t first, std::uint32_t count,
                      CompactedSlice with);

Async<void> set_xattr(Client&, Ino ino, std::string name, std::string value, std::uint32_t flags);
Async<std::string> get_xattr(Client&, Ino ino, std::string name);
Async<std::vector<std::string>> list_xattrs(Client&, Ino ino);
Async<void> remove_xattr(Client&, Ino ino, std::string name);
/// POSIX ACLs as the kernel's xattr blobs (system.posix_acl_access / _default). ENODATA when there is none; EOPNOTSUPP
/// when the volume has none enabled. An empty blob removes.
Async<std::string> get_acl(Client&, Ino ino, bool default_acl);
Async<Attr> set_acl(Client&, Who, Ino ino, bool default_acl, std::string blob);

/// A page of a directory with attributes; "." and ".." are the caller's. `.trash` is not listed.
Async<EntryPage> list(Client&, Ino dir, std::string cursor, std::size_t limit, bool with_attrs);

struct VolumeUsage {
  std::uint64_t total_bytes = 0, available_bytes = 0, used_inodes = 0, available_inodes = 0, used_bytes = 0;
};
/// As JuiceFS reports it (tools.md section 5): 1 PiB doubled until used < 80 % without a capacity...
Async<VolumeUsage> usage(Client&);

Async<void> flock(Client&, Ino ino, std::uint64_t owner, std::uint32_t type /* F_RDLCK, F_WRLCK, F_UNLCK */, bool wait);
Async<RangeLock> get_lock(Client&, Ino ino, std::uint64_t owner, RangeLock want);  ///< type F_UNLCK (2): free
Async<void> set_lock(Client&, Ino ino, std::uint64_t owner, RangeLock want, bool wait);
/// Every lock an owner holds in a file (close of a descriptor, crash).
Async<void> release_locks(Client&, Ino ino, std::uint64_t owner, bool flocks);

/// The last close of an inode without names: removes the sustained record, queues the data for deletion. Answers the
/// last attributes; none: it was gone, or has got a name again.
Async<std::optional<Attr>> release_sustained(Client&, Ino ino);

/// Deletes the chunk records of a removed file and tells the reaper which slices are free; then its DeletedFile record.
Async<void> delete_file_data(Client&, Ino ino, std::uint64_t length);
/// The objects of a slice are gone: its reference record too.
Async<void> forget_slice(Client&, SliceId id, std::uint32_t size);

/// Path of a directory or file from the root ("/a/b"); several for hard links.
Async<std::vector<std::string>> paths_of(Client&, Ino ino);
/// Resolves "/a/b" from the root.
Async<InodeEntry> resolve(Client&, std::string path);

struct TreeSummary {
  std::uint64_t length = 0, space = 0, files = 0, dirs = 0;
};
/// Sums of a tree (info -r); `strict`: count instead of using directory stats.
Async<TreeSummary> summarize(Client&, Ino ino, bool recursive, bool strict);

}  // namespace kiseki::meta
