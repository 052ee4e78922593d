#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.hpp"
#include "core/result.hpp"
#include "meta/engine.hpp"
#include "meta/format.hpp"
#include "meta/record_cache.hpp"

namespace kiseki::meta {

/// Knows which inodes this mount has open; asked when the last name goes (then the inode is sustained, not removed).
class OpenInodes {
 public:
  virtual ~OpenInodes() = default;
  virtual bool is_open(Ino ino) const = 0;  ///< any thread, never blocks
  /// Null: it is open. Else it is not, and as long as the answer lives nobody opens it to change it. Any thread, never
  /// blocks.
  virtual std::shared_ptr<const void> keep_closed(Ino ino) const {
    return is_open(ino) ? nullptr : std::make_shared<char>();  // enough where nobody opens files meanwhile
  }
  virtual std::vector<Ino> nameless() const { return {}; }  ///< those open that lost their last name; likewise
};

/// What happens with data whose last reference went; the volume deletes the objects. Any thread, never blocks.
class DataReaper {
 public:
  virtual ~DataReaper() = default;
  virtual void file_removed(Ino ino, std::uint64_t length) = 0;        ///< a DeletedFile record was written
  virtual void slices_released(std::vector<DelayedSlice> slices) = 0;  ///< counts fell to <= 0
};

struct InodeEntry {
  Ino ino;
  Attr attr;
};

class AclBook;
class LockQueues;
class TrashHour;

struct ClientOptions {
  bool read_only = false;
  std::chrono::milliseconds skip_dir_mtime{100};  ///< a parent's times may lag this much (JuiceFS default)
  bool strict_atime = false, relatime = false;    ///< default: noatime
  std::size_t cache_records = 200'000;            ///< bound of the record cache
  /// How old an answer from memory may be while the engine is out of reach; 0: then there is none.
  std::chrono::nanoseconds stale_reads{std::chrono::seconds(60)};
};

/// One client of a volume: engine, record cache, format, ids. Outlives every operation; operations (meta/ops.hpp) are
/// functions over it. Thread-safe.
class Client {
 public:
  Client(std::shared_ptr<MetaEngine> engine, Format format, std::shared_ptr<const Clock> clock, ClientOptions options);
  ~Client();

  MetaEngine& engine() { return *engine_; }
  RecordCache& cache() { return cache_; }
  const Clock& clock() const { return *clock_; }
  const ClientOptions& options() const { return options_; }
  std::shared_ptr<const Format> format() const { return std::atomic_load(&format_); }  ///< reloaded at each heartbeat
  void set_format(Format format);
  SessionId session() const { return session_; }
  void set_session(SessionId sid) { session_ = sid; }

  void set_open_inodes(const OpenInodes* open) { open_ = open; }
  void set_reaper(DataReaper* reaper) { reaper_ = reaper; }
  bool is_open(Ino ino) const { return open_ && open_->is_open(ino); }
  std::shared_ptr<const void> keep_closed(Ino ino) const {
    return open_ ? open_->keep_closed(ino) : std::make_shared<char>();
  }
  std::vector<Ino> open_nameless() const { return open_ ? open_->nameless() : std::vector<Ino>(); }
  DataReaper* reaper() { return reaper_; }

  // ---- answers from memory: no coroutine, < 1 us ----
  // Each asks coherent() before it reads: what it then finds was what the engine held at some moment of the call. While
  // the engine is out of reach, what it held when it was last heard of.

  /// The engine is out of reach, and memory answers with what it remembers.
  bool answers_stale() const { return engine_->away() && cache_.remembers(); }
  /// Which view of the cache may answer by itself now; nothing: none.
  std::optional<RecordCache::View> answering() const {
    if (engine_->coherent()) return RecordCache::View::now;
    return answers_stale() ? std::optional(RecordCache::View::remembered) : std::nullopt;
  }
  /// The engine is not heard any more, and nobody has found out yet whether it is away: the next `read` does.
  bool is_in_doubt() const { return !answering() && cache_.remembers(); }
  /// Nothing when the cache may not answer by itself.
  std::optional<Attr> cached_attr(Ino ino) {
    auto view = answering();
    return view ? cache_.attr(ino, *view) : std::nullopt;
  }
  std::optional<std::optional<Entry>> cached_entry(Ino parent, std::string_view name) {
    auto view = answering();
    return view ? cache_.entry(parent, name, *view) : std::nullopt;
  }
  /// What lookup() would answer: ENOENT, or the inode with its attributes.
  std::optional<Result<InodeEntry>> cached_lookup(Ino parent, std::string_view name);
  std::shared_ptr<const Slices> cached_slices(Ino ino, ChunkIndex index) {
    auto view = answering();
    return view ? cache_.slices(ino, index, *view) : nullptr;
  }

  // ---- the engine, with the cache kept right ----
  /// Reads records; what can be cached is (of a ChildKey right behind its EntryKey too).
  Async<Records> fetch(Keys keys);
  /// As `fetch`, for who only wants to know: while the engine is out of reach, what is remembered, if that is all
  /// there.
  Async<Records> read(Keys keys);
  /// Caches an attribute that was read by a name.
  void install_child(RecordCache::Ticket ticket, Ino ino, const Attr& attr) {
    if (engine_->hears_of_children()) return cache_.install_attr(ticket, ino, attr);
    cache_.install_unheard_attr(ticket, ino, attr);
  }
  /// Commits; the cache sees the writes before this returns. Not cancellable.
  Async<Outcome> commit(Commit commit);
  /// Reads the quotas at the first call, or again when told.
  Async<void> load_quotas(bool again = false);

  AclBook& acls() { return *acls_; }
  LockQueues& lock_queues() { return *lock_queues_; }
  TrashHour& trash_hour() { return *trash_hour_; }

  static constexpr std::string_view kTrashName = ".trash";  ///< of the trash directory, in the root; it has no entry

  /// Ids, taken from the engine in batches (1024 inodes, 4096 slices); never 0, never 1.
  Async<Ino> new_inode();
  Async<SliceId> new_slice_id();

 private:
  struct IdBatch;
  void install(RecordCache::Ticket ticket, const Keys& keys, const Records& records);
  std::optional<Records> remembered(const Keys& keys);
  std::optional<Record> remembered(const Key& key);
  std::shared_ptr<MetaEngine> engine_;
  std::shared_ptr<const Format> format_;
  std::shared_ptr<const Clock> clock_;
  ClientOptions options_;
  RecordCache cache_;
  SessionId session_;
  const OpenInodes* open_ = nullptr;
  DataReaper* reaper_ = nullptr;
  std::unique_ptr<IdBatch> inodes_, slices_;
  std::unique_ptr<AclBook> acls_;
  std::unique_ptr<LockQueues> lock_queues_;
  std::unique_ptr<TrashHour> trash_hour_;
};

}  // namespace kiseki::meta
