#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "meta/record.hpp"

/// One atomic change: what must still hold, and what then happens. Checks and writes are by field, not by record, so
/// that two clients creating in one directory never conflict.
namespace kiseki::meta {

// ---- checks -----------------------------------------------------------------------------------------------------

struct Unchanged {  ///< the record is still what was seen (monostate: still absent). Not for AttrKey, ChildKey,
                    ///< ChunkKey.
  Key key;
  Record seen;
};
struct AttrUnchanged {  ///< the inode exists and these fields still have these values
  Ino ino;
  Attr seen;
  std::uint32_t fields = 0;  ///< AttrField bits
};
struct AttrAbsent {
  Ino ino;
};
struct DirEmpty {
  Ino ino;
};
struct SlicesBeginWith {  ///< the chunk's list still begins with these records; more may follow
  ChunkKey chunk;
  Slices prefix;
};
struct CounterWithin {  ///< counter + delta <= limit (volume capacity and inode limits)
  Counter which{};
  std::int64_t delta = 0, limit = 0;
};

using Check = std::variant<Unchanged, AttrUnchanged, AttrAbsent, DirEmpty, SlicesBeginWith, CounterWithin>;

// ---- writes -----------------------------------------------------------------------------------------------------

struct PutAttr {  ///< inserts or replaces the whole inode
  Ino ino;
  Attr attr;
};
struct PatchAttr {  ///< changes these fields (none: rewrites it) of an inode that must exist (else: a conflict)
  Ino ino;
  std::uint32_t set = 0;  ///< AttrField bits taken from `to`
  Attr to;
  std::int32_t add_nlink = 0;  ///< relative, beside `set`
  bool grow_length = false;    ///< length becomes max(length, to.length), beside `set`
};
struct EraseAttr {
  Ino ino;
};
struct PutEntry {  ///< inserts or replaces
  EntryKey key;
  Entry entry;
};
struct EraseEntry {
  EntryKey key;
};
struct PutSymlink {
  Ino ino;
  std::string target;
};
struct EraseSymlink {
  Ino ino;
};
struct PutXattr {
  XattrKey key;
  std::string value;
};
struct EraseXattr {
  XattrKey key;
};
struct EraseXattrs {  ///< all of an inode
  Ino ino;
};
struct AddParent {  ///< links of `ino` in `parent` += delta; engines that find parents by the entries ignore it
  Ino ino, parent;
  std::int32_t delta = 0;
};
struct AppendSlices {  ///< returns the new number of records of the chunk
  ChunkKey chunk;
  Slices slices;
};
struct ReplaceSlices {  ///< records [first, first + count) become `with`; an emptied chunk is erased
  ChunkKey chunk;
  std::uint32_t first = 0, count = 0;
  Slices with;
};
struct EraseChunk {
  ChunkKey chunk;
};
struct AddSliceRef {  ///< refs += delta; returns the new count
  SliceId id;
  std::uint32_t size = 0;
  std::int64_t delta = 0;
  /// This commit makes the slice: it counts from 0. Engines that do not store a count of one (Redis) cannot tell
  /// otherwise.
  bool made = false;
};
struct EraseSliceRef {
  SliceId id;
  std::uint32_t size = 0;
};
struct AddCounter {  ///< returns the new value; an absent counter starts at first_value(which)
  Counter which{};
  std::int64_t delta = 0;
};
struct PutCounter {
  Counter which{};
  std::int64_t value = 0;
};
struct AddDirStat {  ///< a missing record is first counted from the directory's entries as they are after this commit
  Ino ino;
  DirStat delta;
};
struct PutDirStat {
  Ino ino;
  DirStat stat;
};
struct EraseDirStat {
  Ino ino;
};
struct PutQuota {
  QuotaKey key;
  Quota quota;
};
struct AddQuotaUsage {  ///< of a quota that exists; a missing directory quota is left missing, a user's or group's is
                        ///< made
  QuotaKey key;
  std::int64_t space = 0, inodes = 0;
};
struct EraseQuota {
  QuotaKey key;
};
struct PutSession {  ///< an empty info leaves a stored one as it is
  SessionId sid;
  Session session;
};
struct EraseSession {
  SessionId sid;
};
struct PutSustained {  ///< `ino` has no name left, but session `sid` has it open
  SessionId sid;
  Ino ino;
};
struct EraseSustained {
  SessionId sid;
  Ino ino;
};
struct PutDeletedFile {  ///< a removed file whose chunks still exist
  Ino ino;
  std::uint64_t length = 0;
  std::int64_t removed_at = 0;  ///< seconds
};
struct EraseDeletedFile {
  Ino ino;
  std::uint64_t length = 0;  ///< as it was put
};
struct DelayedSlice {
  SliceId id;
  std::uint32_t size = 0;
  friend bool operator==(const DelayedSlice&, const DelayedSlice&) = default;
};
struct PutDelayedSlices {  ///< slices a compaction replaced, kept while the trash keeps files; key: the new slice
  SliceId compacted;
  std::int64_t replaced_at = 0;  ///< seconds
  std::vector<DelayedSlice> slices;
};
struct EraseDelayedSlices {
  SliceId compacted;
  std::int64_t replaced_at = 0;  ///< as it was put
};
struct PutFileLock {
  Ino ino;
  FileLock lock;
};
struct EraseFileLock {
  Ino ino;
  SessionId sid;
  std::uint64_t owner = 0;
};
struct PutRangeLocks {  ///< an empty list erases the owner's record
  Ino ino;
  RangeLocks locks;
};
struct EraseLocksOf {  ///< every lock of a session
  SessionId sid;
};
struct InsertAcl {  ///< returns the new id
  AclRule rule;
};
struct PutSetting {
  std::string text;
};

using Write = std::variant<PutAttr, PatchAttr, EraseAttr, PutEntry, EraseEntry, PutSymlink, EraseSymlink, PutXattr,
                           EraseXattr, EraseXattrs, AddParent, AppendSlices, ReplaceSlices, EraseChunk, AddSliceRef,
                           EraseSliceRef, AddCounter, PutCounter, AddDirStat, PutDirStat, EraseDirStat, PutQuota,
                           AddQuotaUsage, EraseQuota, PutSession, EraseSession, PutSustained, EraseSustained,
                           PutDeletedFile, EraseDeletedFile, PutDelayedSlices, EraseDelayedSlices, PutFileLock,
                           EraseFileLock, PutRangeLocks, EraseLocksOf, InsertAcl, PutSetting>;

struct Commit {
  std::vector<Check> checks;
  std::vector<Write> writes;  ///< applied in order
};

/// What became of a commit.
struct Outcome {
  bool applied = false;
  /// Not applied: indexes of the checks that did not hold. None: a write met a record that is not as it must be.
  std::vector<std::size_t> failed;
  /// Applied: one value per AppendSlices, AddSliceRef, AddCounter, InsertAcl, in order.
  std::vector<std::int64_t> returned;
};

}  // namespace kiseki::meta
