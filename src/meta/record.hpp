#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/ids.hpp"
#include "core/slice.hpp"
#include "meta/attr.hpp"

/// The records of a volume, as engines store them, and the keys that name them. Layouts: JuiceFS 1.4 (FORMAT.md).
namespace kiseki::meta {

struct Entry {  ///< what a name in a directory stands for
  Ino ino;
  FileType type = FileType::file;
  friend bool operator==(const Entry&, const Entry&) = default;
};

/// Users of a slice. The count starts at 1 with the record that made it; at <= 0 its objects are to be deleted.
struct SliceRef {
  std::uint32_t size = 0;
  std::int64_t refs = 0;
  friend bool operator==(const SliceRef&, const SliceRef&) = default;
};

struct DirStat {  ///< sums over the direct children of a directory
  std::int64_t length = 0, space = 0, inodes = 0;
  friend bool operator==(const DirStat&, const DirStat&) = default;
};

struct Quota {  ///< limits <= 0 are none
  std::int64_t max_space = -1, max_inodes = -1, used_space = 0, used_inodes = 0;
  friend bool operator==(const Quota&, const Quota&) = default;
};
enum class QuotaKind : std::uint8_t { directory = 0, user = 1, group = 2 };

struct Session {
  std::int64_t expire = 0;  ///< seconds since 1970
  std::string info;         ///< JSON: Version, HostName, IPAddrs, MountPoint, MountTime, ProcessID
  friend bool operator==(const Session&, const Session&) = default;
};

struct FileLock {  ///< flock(2)
  SessionId sid;
  std::uint64_t owner = 0;
  bool exclusive = false;
  friend bool operator==(const FileLock&, const FileLock&) = default;
};
using FileLocks = std::vector<FileLock>;

struct RangeLock {         ///< fcntl(2) record lock of one owner
  std::uint32_t type = 0;  ///< F_RDLCK 0, F_WRLCK 1
  std::uint32_t pid = 0;
  std::uint64_t start = 0, end = 0;  ///< `end` is inclusive; a whole file ends at 0x7FFFFFFFFFFFFFFF
  friend bool operator==(const RangeLock&, const RangeLock&) = default;
};
struct RangeLocks {  ///< all of one owner in one file, sorted by start, not overlapping
  SessionId sid;
  std::uint64_t owner = 0;
  std::vector<RangeLock> ranges;
  friend bool operator==(const RangeLocks&, const RangeLocks&) = default;
};
using RangeLockTable = std::vector<RangeLocks>;

struct AclEntry {
  std::uint32_t id = 0;
  std::uint16_t perm = 0;
  friend bool operator==(const AclEntry&, const AclEntry&) = default;
};
struct AclRule {  ///< 0xFFFF in a class means unset
  std::uint16_t owner = 0xFFFF, group = 0xFFFF, mask = 0xFFFF, other = 0xFFFF;
  std::vector<AclEntry> users, groups;
  friend bool operator==(const AclRule&, const AclRule&) = default;
};

using Xattrs = std::map<std::string, std::string>;
using Parents = std::map<Ino, std::uint32_t>;  ///< directory → number of links in it

// ---- keys -------------------------------------------------------------------------------------------------------

/// Named counters (JuiceFS sql.md section 9). Next-id counters hold the next free id on every engine; the Redis engine
/// converts to its "last used" convention at its door.
enum class Counter : std::uint8_t {
  next_inode,
  next_slice,
  next_session,
  used_space,
  total_inodes,
  next_trash,
  last_cleanup_sessions,
  last_cleanup_files,
  last_cleanup_trash,
  last_cleanup_slices,
};
inline constexpr std::size_t kCounters = static_cast<std::size_t>(Counter::last_cleanup_slices) + 1;

/// What an absent counter counts from: no id is 0.
constexpr std::int64_t first_value(Counter which) {
  return which == Counter::next_inode || which == Counter::next_slice ? 1 : 0;
}

struct AttrKey {
  Ino ino;
  friend auto operator<=>(const AttrKey&, const AttrKey&) = default;
};
struct EntryKey {
  Ino parent;
  std::string name;
  friend auto operator<=>(const EntryKey&, const EntryKey&) = default;
};
struct ChildKey {  ///< the inode that a name stands for, in the same moment as the name; absent when there is none
  Ino parent;
  std::string name;
  friend auto operator<=>(const ChildKey&, const ChildKey&) = default;
};
struct ChunkKey {
  Ino ino;
  ChunkIndex index;
  friend auto operator<=>(const ChunkKey&, const ChunkKey&) = default;
};
struct SymlinkKey {
  Ino ino;
  friend auto operator<=>(const SymlinkKey&, const SymlinkKey&) = default;
};
struct XattrKey {
  Ino ino;
  std::string name;
  friend auto operator<=>(const XattrKey&, const XattrKey&) = default;
};
struct XattrsKey {  ///< all attributes of an inode
  Ino ino;
  friend auto operator<=>(const XattrsKey&, const XattrsKey&) = default;
};
struct ParentsKey {  ///< every directory that holds a link to a file
  Ino ino;
  friend auto operator<=>(const ParentsKey&, const ParentsKey&) = default;
};
struct CounterKey {
  Counter which{};
  friend auto operator<=>(const CounterKey&, const CounterKey&) = default;
};
struct SliceRefKey {
  SliceId id;
  std::uint32_t size = 0;  ///< of the slice, all of it: one id has one size for ever
  friend auto operator<=>(const SliceRefKey&, const SliceRefKey&) = default;
};
struct DirStatKey {
  Ino ino;
  friend auto operator<=>(const DirStatKey&, const DirStatKey&) = default;
};
struct QuotaKey {
  QuotaKind kind{};
  std::uint64_t id = 0;  ///< directory inode, uid or gid
  friend auto operator<=>(const QuotaKey&, const QuotaKey&) = default;
};
struct FileLocksKey {
  Ino ino;
  friend auto operator<=>(const FileLocksKey&, const FileLocksKey&) = default;
};
struct RangeLocksKey {
  Ino ino;
  friend auto operator<=>(const RangeLocksKey&, const RangeLocksKey&) = default;
};
struct AclKey {
  std::uint32_t id = 0;
  friend auto operator<=>(const AclKey&, const AclKey&) = default;
};
struct SettingKey {  ///< the volume's format as JSON text
  friend auto operator<=>(const SettingKey&, const SettingKey&) = default;
};
struct SessionKey {
  SessionId sid;
  friend auto operator<=>(const SessionKey&, const SessionKey&) = default;
};

using Key =
    std::variant<AttrKey, EntryKey, ChildKey, ChunkKey, SymlinkKey, XattrKey, XattrsKey, ParentsKey, CounterKey,
                 SliceRefKey, DirStatKey, QuotaKey, FileLocksKey, RangeLocksKey, AclKey, SettingKey, SessionKey>;

/// The value under a key; monostate: absent. Which alternative a key kind has:
///   AttrKey, ChildKey Attr · EntryKey Entry · ChunkKey Slices · SymlinkKey, XattrKey, SettingKey std::string ·
///   XattrsKey Xattrs · ParentsKey Parents · CounterKey int64 · SliceRefKey SliceRef · DirStatKey DirStat · QuotaKey
///   Quota · FileLocksKey FileLocks · RangeLocksKey RangeLockTable · AclKey AclRule · SessionKey Session.
/// Collections (Slices, Xattrs, Parents, locks) are never absent, only empty; a counter without a row is absent. A
/// slice reference may be absent, or be one, when nothing is stored: engines differ in whether they write a count of
/// one.
using Record = std::variant<std::monostate, Attr, Entry, Slices, std::string, std::int64_t, SliceRef, DirStat, Quota,
                            Session, FileLocks, RangeLockTable, AclRule, Xattrs, Parents>;

}  // namespace kiseki::meta
