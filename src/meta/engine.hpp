#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/result.hpp"
#include "meta/commit.hpp"
#include "meta/record.hpp"

namespace kiseki::meta {

using Keys = std::vector<Key>;
using Records = std::vector<Record>;  ///< one for each key asked, in the same order

/// Hears of every change an engine makes or notices, so that a record cache stays right. Called from a thread of the
/// engine's, before the committing coroutine resumes: in commit order for the commits of one loop, and for all if the
/// engine is `sequential()`. Must not block, must not call the engine.
class ChangeObserver {
 public:
  virtual ~ChangeObserver() = default;
  virtual void committed(const Commit& commit, const Outcome& outcome) noexcept = 0;
  virtual void changed_elsewhere(const Key& key) noexcept = 0;   ///< one record, by another client
  virtual void entries_changed_elsewhere(Ino dir) noexcept = 0;  ///< some or all names of a directory
  virtual void everything_may_have_changed() noexcept = 0;
  /// Others' changes are not heard of any more: what is known was right until now. In force again with
  /// everything_may_have_changed().
  virtual void out_of_touch() noexcept { everything_may_have_changed(); }
};

struct ListedEntry {
  std::string name;
  Entry entry;
  std::optional<Attr> attr;  ///< when asked for and present; a dangling entry has none
};
struct EntryPage {
  std::vector<ListedEntry> entries;
  std::string next;  ///< cursor of the next page; empty: this was the last
};
struct StoredChunk {
  ChunkIndex index;
  Slices slices;
};
struct DeletedFile {
  Ino ino;
  std::uint64_t length = 0;
  std::int64_t removed_at = 0;
};
struct DelayedSlices {
  SliceId compacted;
  std::int64_t replaced_at = 0;
  std::vector<DelayedSlice> slices;
};
struct SessionLocks {  ///< what one session holds, for `status`
  std::vector<Ino> sustained;
  std::vector<std::pair<Ino, FileLock>> file_locks;
  std::vector<std::pair<Ino, RangeLocks>> range_locks;
};

/// A record store with compare-and-apply. POSIX lives once above it (meta/ops), so engines cannot disagree about
/// rename(2), and every operation costs one round trip on all of them.
/// Calls may come from any loop; they complete on the caller's executor. Errors: EIO (corrupt record, engine failure),
/// ETIMEDOUT, EROFS, ENOSPC; never ENOENT: absence is a record.
class MetaEngine {
 public:
  virtual ~MetaEngine() = default;

  /// Reads records in one round trip, however many keys.
  virtual Async<Records> fetch(Keys keys) = 0;
  /// The same for who can do without: EHOSTUNREACH, instead of waiting, as soon as the engine is away().
  virtual Async<Records> fetch_if_reachable(Keys keys) { return fetch(std::move(keys)); }
  /// Applies every write if every check holds, else nothing. Atomic and, on return, as durable as the engine promises.
  virtual Async<Outcome> commit(Commit commit) = 0;

  /// True when records cached since the last `everything_may_have_changed` are still what the engine holds, apart from
  /// what the observer was told since: then a cache may answer a lookup by itself. Cheap, never blocks, any thread.
  virtual bool coherent() const noexcept = 0;
  /// True when the observer may hear of others' changes only a moment after they were made. Then what `coherent` lets
  /// a cache answer may be older by that moment; who must not be behind anybody awaits `catch_up` first.
  virtual bool lags() const noexcept { return false; }
  /// Until the observer has heard of every change made before this call. At most one round trip.
  virtual Async<void> catch_up() { co_return Result<void>(); }
  /// True while the store cannot be reached: calls wait. Cheap, never blocks, any thread.
  virtual bool away() const noexcept { return false; }
  /// True when the observer hears of all commits in the order in which they were made.
  virtual bool sequential() const noexcept { return true; }
  /// False when nothing is heard of attributes that were read by a name (ChildKey, scan_entries): then they are right
  /// only at the moment they were read.
  virtual bool hears_of_children() const noexcept { return true; }
  /// At most one observer, set before the first fetch; must outlive the engine's last call.
  virtual void observe(ChangeObserver* observer) noexcept = 0;

  /// Entries of a directory, a page at a time; `cursor` empty for the first. An engine's own stable order. `limit` is
  /// what the caller would like: an engine that keeps names by their hash gives a few more, or all of a small
  /// directory.
  virtual Async<EntryPage> scan_entries(Ino dir, std::string cursor, std::size_t limit, bool with_attrs) = 0;
  /// `length`: what the file has or had. Engines that cannot list a file's chunks (Redis) ask for those below it.
  virtual Async<std::vector<StoredChunk>> scan_chunks(Ino ino, std::uint64_t length) = 0;
  /// Which of a file's chunks from `first` up to, not including, `end` have records; in order.
  virtual Async<std::vector<ChunkIndex>> find_chunks(Ino ino, ChunkIndex first, ChunkIndex end) = 0;
  virtual Async<std::vector<std::pair<SessionId, Session>>> scan_sessions() = 0;
  virtual Async<SessionLocks> scan_locks(SessionId sid) = 0;
  virtual Async<std::vector<DeletedFile>> scan_deleted_files(std::int64_t removed_before, std::size_t limit) = 0;
  virtual Async<std::vector<std::pair<SliceId, SliceRef>>> scan_dead_slices(std::size_t limit) = 0;  ///< refs <= 0
  virtual Async<std::vector<DelayedSlices>> scan_delayed_slices(std::int64_t replaced_before, std::size_t limit) = 0;
  virtual Async<std::vector<std::pair<QuotaKey, Quota>>> scan_quotas() = 0;
  virtual Async<std::vector<std::pair<std::uint32_t, AclRule>>> scan_acls() = 0;

  /// Makes what a new volume needs before its first commit (tables); harmless on an existing one.
  virtual Async<void> prepare() = 0;
  virtual std::string name() const = 0;  ///< "sqlite3", "redis", "memory": for logs and metrics
  /// Lets go of threads and files; no call may be under way. The last call before destruction.
  virtual asio::awaitable<void> close() = 0;
};

}  // namespace kiseki::meta
