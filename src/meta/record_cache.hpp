#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "meta/clock_table.hpp"
#include "meta/engine.hpp"
#include "meta/quota_book.hpp"
#include "meta/record.hpp"

namespace kiseki::meta {

/// What this client knows of the volume's records: attributes, entries (and names known to be absent), slice lists,
/// symlinks, extended attributes. It hears every commit of its engine in order and applies the writes, so that it is
/// right as long as the engine is `coherent()`; whoever answers from it alone asks that *before* reading.
///
/// Values fetched meanwhile never bring an old record back: a fetch takes a `Ticket` first, and a value is installed
/// only if nothing under its key changed since, and no commit that touches it is under way (see `announce`).
///
/// What somebody else changed, and what commits changed whose order is not known, stays as a guess: good enough to plan
/// a commit that checks it, but no answer.
///
/// When the engine is out of touch, what was right until then is remembered for a while beside what is learnt from then
/// on, for who would rather have an old answer than none.
///
/// Bounded by the number of records; thread-safe, sharded by inode, never blocks for long.
class RecordCache final : public ChangeObserver {
 public:
  /// `sequential`: the engine tells of all commits in their order (MetaEngine::sequential). `remember_for`: how old
  /// what is remembered may get.
  RecordCache(std::size_t max_records, bool sequential, std::chrono::nanoseconds remember_for = {});

  // ---- reading: a hash and a short lock; nothing when not known here ----
  enum class View {
    now,
    remembered,  ///< what was right when the engine was last in touch, or had been read shortly before
  };
  /// Whether there is something remembered, young enough.
  bool remembers() const;
  std::optional<Attr> attr(Ino ino, View view = View::now);
  /// The inner optional is empty when the name is known not to exist.
  std::optional<std::optional<Entry>> entry(Ino parent, std::string_view name, View view = View::now);
  template <class T>
  struct Guess {
    T value;
    bool certain = false;
    std::uint32_t read_at = 0;  ///< of what may have changed unheard since: second of coarse_seconds(); 0: not known
  };
  std::optional<Guess<Attr>> guess_attr(Ino ino);
  std::optional<Guess<std::optional<Entry>>> guess_entry(Ino parent, std::string_view name);
  /// Never older than what was last read of the file's attributes, though others' changes are heard of one by one: who
  /// knows a version of a file gets slices at least as new. Null: not known.
  std::shared_ptr<const Slices> slices(Ino ino, ChunkIndex index, View view = View::now);
  std::optional<std::string> symlink(Ino ino, View view = View::now);
  std::shared_ptr<const Xattrs> xattrs(Ino ino, View view = View::now);  ///< null: not known

  // ---- installing what was fetched ----
  struct Ticket {
    std::uint64_t sequence = 0;
    std::uint32_t generation = 0;
    std::uint64_t number = 0;  ///< of the ticket
  };
  /// Before the fetch starts. Of the remembered view: what was fetched with it counts in that view.
  Ticket ticket(View view = View::now) const;
  void install_attr(Ticket ticket, Ino ino, const Attr& attr);
  /// As a guess: changes of it by others would not be heard of.
  void install_unheard_attr(Ticket ticket, Ino ino, const Attr& attr);
  void install_entry(Ticket ticket, Ino parent, std::string_view name, std::optional<Entry> entry);
  void install(Ticket ticket, const Key& key, const Record& record);  ///< kinds that are not cached are ignored
  void forget(const Key& key) noexcept;                               ///< what is known under it is not to be believed

  /// While it lives, nothing is installed under the keys a commit writes: a reader may already see the commit's result
  /// that the observer has yet to apply to the cached records.
  class [[nodiscard]] Announcement {
   public:
    Announcement(Announcement&& other) noexcept : cache_(other.cache_), slots_(std::move(other.slots_)) {
      other.slots_.clear();
    }
    Announcement& operator=(Announcement&&) = delete;
    ~Announcement();

   private:
    friend class RecordCache;
    explicit Announcement(RecordCache& cache) : cache_(cache) {}
    RecordCache& cache_;
    std::vector<std::uint32_t> slots_;
  };
  Announcement announce(const Commit& commit);

  /// Told of files whose slices others changed, for those who keep what they made of them; on any thread, at once.
  /// Empty: nobody, once this returns.
  void watch_slices(std::function<void(Ino)> watcher);

  // ---- ChangeObserver ----
  void committed(const Commit& commit, const Outcome& outcome) noexcept override;
  void changed_elsewhere(const Key& key) noexcept override;
  void entries_changed_elsewhere(Ino dir) noexcept override;
  void everything_may_have_changed() noexcept override;
  void out_of_touch() noexcept override;

  QuotaBook& quotas() { return quotas_; }
  std::size_t size() const { return records_.load(std::memory_order_relaxed); }

 private:
  struct NameKey {
    Ino parent;
    std::string name;
  };
  struct NameView {
    Ino parent;
    std::string_view name;
  };
  struct ChunkId {
    Ino ino;
    ChunkIndex index;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(Ino ino) const { return std::hash<Ino>()(ino); }
    std::size_t operator()(const ChunkId& c) const {
      return std::hash<Ino>()(Ino{c.ino.value ^ (std::uint64_t{c.index.value} << 40)});
    }
    std::size_t operator()(const NameView& n) const {
      return std::hash<std::string_view>()(n.name) ^ std::hash<Ino>()(n.parent);
    }
    std::size_t operator()(const NameKey& n) const { return (*this)(NameView{n.parent, n.name}); }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(Ino a, Ino b) const { return a == b; }
    bool operator()(const ChunkId& a, const ChunkId& b) const { return a.ino == b.ino && a.index == b.index; }
    template <class A, class B>
      requires requires(const A& a, const B& b) { a.name == b.name; }
    bool operator()(const A& a, const B& b) const {
      return a.parent == b.parent && a.name == b.name;
    }
  };
  /// Versions of the keys that hash here.
  struct Slot {
    std::uint64_t changed = 0;        ///< sequence number of the last change
    std::uint64_t names_changed = 0;  ///< of the last change of a directory's names that others made
    std::uint64_t attr_ticket = 0;    ///< number of the ticket with which an attribute was last read
    std::uint64_t attr_read = 0;      ///< of the last one given out before that was known
    std::uint32_t pending = 0;        ///< announced commits under way
    bool doubt = false;               ///< what these commits leave is not known for certain
  };
  struct KnownEntry {
    std::optional<Entry> entry;
    std::uint64_t since = 0;  ///< 0: a guess
  };
  struct KnownSlices {
    std::shared_ptr<const Slices> slices;
    std::uint64_t ticket = 0;  ///< number of that with which they were read
  };
  static constexpr std::size_t kSlots = 256, kShards = 32;
  struct alignas(64) Shard {
    std::mutex mutex;
    ClockTable<Ino, Guess<Attr>, Hash, Equal> attrs;
    ClockTable<NameKey, KnownEntry, Hash, Equal> entries;
    ClockTable<ChunkId, KnownSlices, Hash, Equal> chunks;
    ClockTable<Ino, std::string, Hash, Equal> symlinks;
    ClockTable<Ino, std::shared_ptr<const Xattrs>, Hash, Equal> xattrs;
    /// Directories all of whose entries are cached: a name not found in them does not exist. Made empty by us, dropped
    /// with the first entry that is given up or in doubt.
    ClockTable<Ino, bool, Hash, Equal> complete;
    std::array<Slot, kSlots> slots;
  };
  class Applier;

  static std::uint32_t slot_of(Ino ino);
  static std::uint32_t slot_of(Ino parent, std::string_view name);
  static std::uint32_t slot_of(const Key& key);  ///< kNoSlot for kinds that are not cached
  static constexpr std::uint32_t kNoSlot = ~0u;
  Shard& shard_of(Ino ino) { return shards_[(std::hash<Ino>()(ino) >> 40) % kShards]; }
  std::uint64_t next_sequence() { return sequence_.fetch_add(1, std::memory_order_seq_cst) + 1; }
  std::uint32_t generation() const { return generation_.load(std::memory_order_acquire); }
  std::uint32_t generation(View view) const { return view == View::now ? generation() : remembered_.load(); }
  std::optional<Guess<std::optional<Entry>>> find_entry(Ino parent, std::string_view name, std::uint32_t generation);
  void drop_changed(const Key& key);
  void forget_old_completeness(Shard& shard, Ino parent);
  bool may_install(Shard& shard, std::uint32_t slot, Ticket ticket) const;
  void mark_read(Shard& shard, Ino ino, Ticket ticket);  ///< its attributes
  void mark_changed(Shard& shard, std::uint32_t slot);
  bool doubtful(Shard& shard, std::uint32_t slot);  ///< for the commit that is being heard of
  void make_room(Shard& shard);                     ///< with the shard locked, after an insertion
  void drop_record(Shard& shard, const Key& key);   ///< with the shard locked
  template <class Table, class K, class V>
  void store(Shard& shard, Table& table, K key, V value);
  template <class Table, class K>
  void drop(Table& table, const K& key);

  const std::size_t max_records_;
  const bool sequential_;
  const std::chrono::nanoseconds remember_for_;
  std::array<Shard, kShards> shards_;
  std::atomic<std::size_t> records_{0};
  std::atomic<std::uint64_t> sequence_{1};
  mutable std::atomic<std::uint64_t> tickets_{0};  ///< given out
  std::atomic<std::uint32_t> generation_{1};
  std::atomic<std::uint32_t> remembered_{0};  ///< the generation that was right until `right_until_`; 0: none
  std::atomic<std::chrono::steady_clock::duration> right_until_{};
  QuotaBook quotas_;
  std::mutex watcher_guard_;  // of `watcher_`
  std::function<void(Ino)> watcher_;
};

}  // namespace kiseki::meta
