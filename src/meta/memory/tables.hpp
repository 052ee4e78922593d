#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "meta/engine.hpp"

namespace kiseki::meta::memory {

/// The records of a volume in ordered maps, and what checks and writes mean to them. Not thread-safe.
class Tables {
 public:
  Record read(const Key& key) const;
  /// Verifies every check, then applies every write, or changes nothing.
  Outcome apply(const Commit& commit);

  EntryPage entries(Ino dir, const std::string& cursor, std::size_t limit, bool with_attrs) const;
  std::vector<StoredChunk> chunks(Ino ino) const;
  std::vector<ChunkIndex> chunks_within(Ino ino, ChunkIndex first, ChunkIndex end) const;
  std::vector<std::pair<SessionId, Session>> sessions() const;
  SessionLocks locks(SessionId sid) const;
  std::vector<DeletedFile> deleted_files(std::int64_t removed_before, std::size_t limit) const;
  std::vector<std::pair<SliceId, SliceRef>> dead_slices(std::size_t limit) const;
  std::vector<DelayedSlices> delayed_slices(std::int64_t replaced_before, std::size_t limit) const;
  std::vector<std::pair<QuotaKey, Quota>> quotas() const;
  std::vector<std::pair<std::uint32_t, AclRule>> acls() const;

 private:
  using LockOwner = std::tuple<Ino, SessionId, std::uint64_t>;
  class Changes;

  bool holds(const Check& check) const;
  std::int64_t counter(Counter which) const;
  DirStat count_children(Ino dir) const;
  bool has_entries(Ino dir) const;

  std::map<Ino, Attr> attrs_;
  std::map<EntryKey, Entry> entries_;
  std::map<std::pair<Ino, Ino>, std::uint32_t> links_;  ///< (child, parent) → entries of it there
  std::map<Ino, std::string> symlinks_;
  std::map<XattrKey, std::string> xattrs_;
  std::map<ChunkKey, Slices> chunks_;
  std::map<SliceId, SliceRef> slice_refs_;
  std::map<Counter, std::int64_t> counters_;
  std::map<Ino, DirStat> dir_stats_;
  std::map<QuotaKey, Quota> quotas_;
  std::map<SessionId, Session> sessions_;
  std::set<std::pair<SessionId, Ino>> sustained_;
  std::map<Ino, DeletedFile> deleted_files_;
  std::map<SliceId, DelayedSlices> delayed_;
  std::map<LockOwner, bool> file_locks_;  ///< true: exclusive
  std::map<LockOwner, std::vector<RangeLock>> range_locks_;
  std::map<std::uint32_t, AclRule> acls_;
  std::optional<std::string> setting_;
};

}  // namespace kiseki::meta::memory
