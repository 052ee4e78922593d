#include "meta/record_cache.hpp"

#include <time.h>

#include <algorithm>

#include "meta/patch.hpp"

namespace kiseki::meta {

namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

/// Extended attributes may be 64 KiB each: only what is cheap is kept.
bool is_small(const Xattrs& all) {
  std::size_t bytes = 0;
  for (auto& [name, value] : all) bytes += name.size() + value.size();
  return bytes <= 1024;
}

}  // namespace

RecordCache::RecordCache(std::size_t max_records, bool sequential, std::chrono::nanoseconds remember_for)
    : max_records_(std::max<std::size_t>(max_records, kShards)), sequential_(sequential), remember_for_(remember_for) {}

// ---- slots --------------------------------------------------------------------------------------------------------

// A slot number carries its shard in the high bits, so that an announcement is a plain list of numbers.
std::uint32_t RecordCache::slot_of(Ino ino) {
  auto hash = std::hash<Ino>()(ino);
  return static_cast<std::uint32_t>((hash >> 40) % kShards * kSlots + (hash >> 20) % kSlots);
}

std::uint32_t RecordCache::slot_of(Ino parent, std::string_view name) {
  auto shard = (std::hash<Ino>()(parent) >> 40) % kShards;
  return static_cast<std::uint32_t>(shard * kSlots + std::hash<std::string_view>()(name) % kSlots);
}

std::uint32_t RecordCache::slot_of(const Key& key) {
  return std::visit(
      Overloaded{[](const AttrKey& k) { return slot_of(k.ino); },
                 [](const EntryKey& k) { return slot_of(k.parent, k.name); },
                 [](const ChunkKey& k) { return slot_of(k.ino); }, [](const SymlinkKey& k) { return slot_of(k.ino); },
                 [](const XattrsKey& k) { return slot_of(k.ino); }, [](const XattrKey& k) { return slot_of(k.ino); },
                 [](const auto&) { return kNoSlot; }},
      key);
}

namespace {

/// Calls `ino(Ino)` or `name(EntryKey)` for what a write touches among the cached kinds.
template <class OnIno, class OnName>
void touched_by(const Write& write, OnIno on_ino, OnName on_name) {
  std::visit(Overloaded{[&](const PutAttr& w) { on_ino(w.ino); }, [&](const PatchAttr& w) { on_ino(w.ino); },
                        [&](const EraseAttr& w) { on_ino(w.ino); }, [&](const PutEntry& w) { on_name(w.key); },
                        [&](const EraseEntry& w) { on_name(w.key); }, [&](const PutSymlink& w) { on_ino(w.ino); },
                        [&](const EraseSymlink& w) { on_ino(w.ino); }, [&](const PutXattr& w) { on_ino(w.key.ino); },
                        [&](const EraseXattr& w) { on_ino(w.key.ino); }, [&](const EraseXattrs& w) { on_ino(w.ino); },
                        [&](const AppendSlices& w) { on_ino(w.chunk.ino); },
                        [&](const ReplaceSlices& w) { on_ino(w.chunk.ino); },
                        [&](const EraseChunk& w) { on_ino(w.chunk.ino); }, [](const auto&) {}},
             write);
}

}  // namespace

RecordCache::Ticket RecordCache::ticket(View view) const {
  auto gen = generation(view);
  auto number = tickets_.fetch_add(1, std::memory_order_seq_cst) + 1;
  return {sequence_.load(std::memory_order_seq_cst), gen, number};
}

bool RecordCache::may_install(Shard& shard, std::uint32_t slot, Ticket ticket) const {
  auto& s = shard.slots[slot % kSlots];
  return s.pending == 0 && s.changed <= ticket.sequence && ticket.generation == generation();
}

void RecordCache::mark_read(Shard& shard, Ino ino, Ticket ticket) {
  auto& slot = shard.slots[slot_of(ino) % kSlots];
  slot.attr_ticket = ticket.number;
  slot.attr_read = tickets_.load(std::memory_order_seq_cst);
}

void RecordCache::mark_changed(Shard& shard, std::uint32_t slot) {
  shard.slots[slot % kSlots].changed = next_sequence();
}

bool RecordCache::doubtful(Shard& shard, std::uint32_t slot) {
  auto& s = shard.slots[slot % kSlots];
  if (!sequential_ && s.pending > 1) s.doubt = true;  // for the others too: whoever was last is not known
  return s.doubt;
}

RecordCache::Announcement RecordCache::announce(const Commit& commit) {
  Announcement result(*this);
  result.slots_.reserve(commit.writes.size());
  auto add = [&](std::uint32_t slot) { result.slots_.push_back(slot); };
  for (const auto& write : commit.writes)
    touched_by(write, [&](Ino ino) { add(slot_of(ino)); }, [&](const EntryKey& k) { add(slot_of(k.parent, k.name)); });
  // Once each, however many writes it has there: else it would seem to be several commits.
  std::sort(result.slots_.begin(), result.slots_.end());
  result.slots_.erase(std::unique(result.slots_.begin(), result.slots_.end()), result.slots_.end());
  for (auto slot : result.slots_) {
    auto& shard = shards_[slot / kSlots];
    std::lock_guard lock(shard.mutex);
    ++shard.slots[slot % kSlots].pending;
  }
  return result;
}

RecordCache::Announcement::~Announcement() {
  for (auto slot : slots_) {
    auto& shard = cache_.shards_[slot / kSlots];
    std::lock_guard lock(shard.mutex);
    if (--shard.slots[slot % kSlots].pending == 0) shard.slots[slot % kSlots].doubt = false;
    // A fetch that began while we were announced may hold what was before: refuse it.
    cache_.mark_changed(shard, slot);
  }
}

// ---- reading ------------------------------------------------------------------------------------------------------

std::optional<RecordCache::Guess<Attr>> RecordCache::guess_attr(Ino ino) {
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  auto* found = shard.attrs.find(ino, generation());
  return found ? std::optional(*found) : std::nullopt;
}

std::optional<RecordCache::Guess<std::optional<Entry>>> RecordCache::guess_entry(Ino parent, std::string_view name) {
  return find_entry(parent, name, generation());
}

std::optional<RecordCache::Guess<std::optional<Entry>>> RecordCache::find_entry(Ino parent, std::string_view name,
                                                                                std::uint32_t gen) {
  auto& shard = shard_of(parent);
  std::lock_guard lock(shard.mutex);
  if (auto* found = shard.entries.find(NameView{parent, name}, gen))
    return Guess<std::optional<Entry>>{
        found->entry, found->since != 0 && found->since >= shard.slots[slot_of(parent) % kSlots].names_changed};
  if (shard.complete.size() > 0 && shard.complete.find(parent, gen)) return Guess<std::optional<Entry>>{{}, true};
  return std::nullopt;
}

namespace {

/// Cheap, and fine enough for "lately".
std::uint32_t coarse_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<std::uint32_t>(now.tv_sec) + 1;
}

}  // namespace

bool RecordCache::remembers() const {
  return remembered_ != 0 && std::chrono::steady_clock::now().time_since_epoch() - right_until_.load() <= remember_for_;
}

std::optional<Attr> RecordCache::attr(Ino ino, View view) {
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  auto* found = shard.attrs.find(ino, generation(view));
  if (!found) return std::nullopt;
  auto lately = [&] { return std::chrono::seconds(coarse_seconds() - found->read_at) <= remember_for_; };
  auto told = found->certain || (view == View::remembered && found->read_at != 0 && lately());
  return told ? std::optional(found->value) : std::nullopt;
}

std::optional<std::optional<Entry>> RecordCache::entry(Ino parent, std::string_view name, View view) {
  auto guess = find_entry(parent, name, generation(view));
  if (!guess || !guess->certain) return std::nullopt;
  return std::optional<std::optional<Entry>>(std::in_place, guess->value);
}

std::shared_ptr<const Slices> RecordCache::slices(Ino ino, ChunkIndex index, View view) {
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  auto* found = shard.chunks.find(ChunkId{ino, index}, generation(view));
  if (!found) return nullptr;
  auto& slot = shard.slots[slot_of(ino) % kSlots];
  bool new_enough = found->ticket > slot.attr_read || found->ticket == slot.attr_ticket;
  return sequential_ || view == View::remembered || new_enough ? found->slices : nullptr;
}

std::optional<std::string> RecordCache::symlink(Ino ino, View view) {
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  auto* found = shard.symlinks.find(ino, generation(view));
  return found ? std::optional(*found) : std::nullopt;
}

std::shared_ptr<const Xattrs> RecordCache::xattrs(Ino ino, View view) {
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  auto* found = shard.xattrs.find(ino, generation(view));
  return found ? *found : nullptr;
}

// ---- storing (shard locked) ---------------------------------------------------------------------------------------

template <class Table, class K, class V>
void RecordCache::store(Shard& shard, Table& table, K key, V value) {
  if (!table.put(std::move(key), std::move(value), generation())) return;
  records_.fetch_add(1, std::memory_order_relaxed);
  make_room(shard);
}

template <class Table, class K>
void RecordCache::drop(Table& table, const K& key) {
  if (table.erase(key)) records_.fetch_sub(1, std::memory_order_relaxed);
}

void RecordCache::make_room(Shard& shard) {
  // Two for one until under the limit again; a shard that holds next to nothing leaves the duty to the others.
  constexpr std::size_t kSpare = 8;
  for (int turn = 0; turn < 2 && records_.load(std::memory_order_relaxed) > max_records_; ++turn) {
    std::size_t largest = std::max(
        {shard.attrs.size(), shard.entries.size(), shard.chunks.size(), shard.symlinks.size(), shard.xattrs.size()});
    if (largest <= kSpare) return;
    if (largest == shard.entries.size()) {
      if (auto gone = shard.entries.evict()) drop(shard.complete, gone->parent);
    } else if (largest == shard.attrs.size()) {
      shard.attrs.evict();
    } else if (largest == shard.chunks.size()) {
      shard.chunks.evict();
    } else if (largest == shard.symlinks.size()) {
      shard.symlinks.evict();
    } else {
      shard.xattrs.evict();
    }
    records_.fetch_sub(1, std::memory_order_relaxed);
  }
  while (shard.complete.size() > 1024) {
    shard.complete.evict();
    records_.fetch_sub(1, std::memory_order_relaxed);
  }
}

void RecordCache::install_attr(Ticket ticket, Ino ino, const Attr& attr) {
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  mark_read(shard, ino, ticket);
  if (may_install(shard, slot_of(ino), ticket)) store(shard, shard.attrs, ino, Guess<Attr>{attr, true, 0});
}

void RecordCache::install_unheard_attr(Ticket ticket, Ino ino, const Attr& attr) {
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  auto* known = shard.attrs.find(ino, generation());
  if (known && known->certain) return;
  if (may_install(shard, slot_of(ino), ticket))
    store(shard, shard.attrs, ino, Guess<Attr>{attr, false, coarse_seconds()});
}

/// A name about to be stored takes the place of the one that is remembered: what is then missing there exists.
void RecordCache::forget_old_completeness(Shard& shard, Ino parent) {
  if (shard.complete.size() > 0 && !shard.complete.find(parent, generation())) drop(shard.complete, parent);
}

void RecordCache::install_entry(Ticket ticket, Ino parent, std::string_view name, std::optional<Entry> entry) {
  auto& shard = shard_of(parent);
  std::lock_guard lock(shard.mutex);
  if (!may_install(shard, slot_of(parent, name), ticket)) return;
  if (shard.slots[slot_of(parent) % kSlots].names_changed > ticket.sequence) return;
  forget_old_completeness(shard, parent);
  store(shard, shard.entries, NameKey{parent, std::string(name)}, KnownEntry{entry, ticket.sequence});
}

void RecordCache::install(Ticket ticket, const Key& key, const Record& record) {
  auto locked = [&](Ino ino, auto body) {
    auto& shard = shard_of(ino);
    std::lock_guard lock(shard.mutex);
    if (may_install(shard, slot_of(key), ticket)) body(shard);
  };
  std::visit(Overloaded{[&](const AttrKey& k) {
                          if (auto* attr = std::get_if<Attr>(&record)) install_attr(ticket, k.ino, *attr);
                        },
                        [&](const EntryKey& k) {
                          auto* entry = std::get_if<Entry>(&record);
                          install_entry(ticket, k.parent, k.name, entry ? std::optional(*entry) : std::nullopt);
                        },
                        [&](const ChunkKey& k) {
                          auto* slices = std::get_if<Slices>(&record);
                          KnownSlices value{std::make_shared<const Slices>(slices ? *slices : Slices()), ticket.number};
                          locked(k.ino,
                                 [&](Shard& s) { store(s, s.chunks, ChunkId{k.ino, k.index}, std::move(value)); });
                        },
                        [&](const SymlinkKey& k) {
                          if (auto* target = std::get_if<std::string>(&record))
                            locked(k.ino, [&](Shard& s) { store(s, s.symlinks, k.ino, *target); });
                        },
                        [&](const XattrsKey& k) {
                          auto* all = std::get_if<Xattrs>(&record);
                          if (all && !is_small(*all)) return;
                          auto value = std::make_shared<const Xattrs>(all ? *all : Xattrs());
                          locked(k.ino, [&](Shard& s) { store(s, s.xattrs, k.ino, std::move(value)); });
                        },
                        [](const auto&) {}},
             key);
}

// ---- hearing of changes -------------------------------------------------------------------------------------------

/// Applies the writes of one commit, each under the lock of its shard. What is remembered goes with the first change of
/// our own: nobody shall be told what was before it.
class RecordCache::Applier {
 public:
  Applier(RecordCache& cache, const Commit& commit, const Outcome& outcome)
      : cache_(cache),
        commit_(commit),
        returned_(outcome.returned.begin()),
        returned_end_(outcome.returned.end()),
        gen_(cache.generation()) {}
  void run() {
    for (const auto& write : commit_.writes) std::visit([this](const auto& w) { apply(w); }, write);
  }

 private:
  template <class Body>
  void locked(Ino ino, std::uint32_t slot, Body body) {
    auto& shard = cache_.shard_of(ino);
    std::lock_guard lock(shard.mutex);
    cache_.mark_changed(shard, slot);
    doubt_ = cache_.doubtful(shard, slot);
    body(shard);
  }
  template <class Body>
  void locked(Ino ino, Body body) {
    locked(ino, slot_of(ino), body);
  }

  void apply(const PutAttr& w) {
    bool fresh_directory = w.attr.is_dir() && made_empty(w.ino);
    locked(w.ino, [&](Shard& s) {
      cache_.store(s, s.attrs, w.ino, Guess<Attr>{w.attr, !doubt_, 0});
      if (doubt_) return;
      if (fresh_directory) cache_.store(s, s.complete, w.ino, true);
      // Whole attributes are put for new inodes only: nothing was written to this file yet.
      static const auto kNothing = std::make_shared<const Slices>();
      if (w.attr.is_file() && w.attr.length == 0)
        cache_.store(s, s.chunks, ChunkId{w.ino, ChunkIndex{0}}, KnownSlices{kNothing, cache_.ticket().number});
    });
  }
  void apply(const PatchAttr& w) {
    locked(w.ino, [&](Shard& s) {
      auto* attr = s.attrs.find(w.ino, gen_);
      if (!attr) return cache_.drop(s.attrs, w.ino);
      meta::patch(attr->value, w);
      if (doubt_) attr->certain = false, attr->read_at = 0;
    });
  }
  void apply(const EraseAttr& w) {
    locked(w.ino, [&](Shard& s) {
      cache_.drop(s.attrs, w.ino);
      cache_.drop(s.complete, w.ino);
    });
  }
  void apply(const PutEntry& w) { put_name(w.key, w.entry); }
  void apply(const EraseEntry& w) { put_name(w.key, std::nullopt); }
  void put_name(const EntryKey& key, std::optional<Entry> entry) {
    locked(key.parent, slot_of(key.parent, key.name), [&](Shard& s) {
      // In a complete directory an absent name needs no record of its own.
      if (doubt_) cache_.drop(s.complete, key.parent);
      cache_.forget_old_completeness(s, key.parent);
      if (!entry && s.complete.find(key.parent, gen_)) return cache_.drop(s.entries, NameView{key.parent, key.name});
      cache_.store(s, s.entries, NameKey{key.parent, key.name},
                   KnownEntry{entry, doubt_ ? 0 : cache_.ticket().sequence});
    });
  }
  void apply(const PutSymlink& w) {
    locked(w.ino, [&](Shard& s) { cache_.store(s, s.symlinks, w.ino, w.target); });
  }
  void apply(const EraseSymlink& w) {
    locked(w.ino, [&](Shard& s) { cache_.drop(s.symlinks, w.ino); });
  }
  void apply(const PutXattr& w) {
    change_xattrs(w.key.ino, [&](Xattrs& all) { all[w.key.name] = w.value; });
  }
  void apply(const EraseXattr& w) {
    change_xattrs(w.key.ino, [&](Xattrs& all) { all.erase(w.key.name); });
  }
  template <class Change>
  void change_xattrs(Ino ino, Change change) {
    locked(ino, [&](Shard& s) {
      auto* found = s.xattrs.find(ino, gen_);
      if (!found) return cache_.drop(s.xattrs, ino);
      auto copy = std::make_shared<Xattrs>(**found);
      change(*copy);
      if (doubt_ || !is_small(*copy)) return cache_.drop(s.xattrs, ino);
      *found = std::move(copy);
    });
  }
  void apply(const EraseXattrs& w) {
    locked(w.ino, [&](Shard& s) { cache_.drop(s.xattrs, w.ino); });
  }
  void apply(const AppendSlices& w) {
    auto now = next_returned();
    change_chunk(w.chunk, [&](KnownSlices& known, Slices& all) {
      all.insert(all.end(), w.slices.begin(), w.slices.end());
      if (!now) return true;
      known.ticket = cache_.ticket().number;
      return *now == static_cast<std::int64_t>(all.size());  // else others have changed it, unheard as yet
    });
  }
  void apply(const ReplaceSlices& w) {
    change_chunk(w.chunk, [&](KnownSlices&, Slices& all) {
      replace_slices(all, w);
      return true;
    });
  }
  /// `change` answers whether what it made is right.
  template <class Change>
  void change_chunk(const ChunkKey& key, Change change) {
    locked(key.ino, [&](Shard& s) {
      ChunkId id{key.ino, key.index};
      auto* found = s.chunks.find(id, gen_);
      if (!found || doubt_) return cache_.drop(s.chunks, id);
      auto copy = std::make_shared<Slices>(*found->slices);
      if (!change(*found, *copy)) return cache_.drop(s.chunks, id);
      found->slices = std::move(copy);
    });
  }
  void apply(const EraseChunk& w) {
    locked(w.chunk.ino, [&](Shard& s) { cache_.drop(s.chunks, ChunkId{w.chunk.ino, w.chunk.index}); });
  }
  void apply(const PutQuota& w) { cache_.quotas_.put(w.key, w.quota); }
  void apply(const AddSliceRef&) { (void)next_returned(); }
  void apply(const AddCounter&) { (void)next_returned(); }
  void apply(const InsertAcl&) { (void)next_returned(); }
  void apply(const AddQuotaUsage& w) { cache_.quotas_.add_usage(w.key, w.space, w.inodes); }
  void apply(const EraseQuota& w) { cache_.quotas_.erase(w.key); }
  template <class Other>
  void apply(const Other&) {}

  std::optional<std::int64_t> next_returned() {
    return returned_ == returned_end_ ? std::nullopt : std::optional(*returned_++);
  }

  /// mkdir writes an all-zero DirStat beside the attribute of a directory that never had an entry.
  bool made_empty(Ino ino) const {
    return std::any_of(commit_.writes.begin(), commit_.writes.end(), [&](const Write& w) {
      auto* stat = std::get_if<PutDirStat>(&w);
      return stat && stat->ino == ino && stat->stat == DirStat();
    });
  }

 private:
  RecordCache& cache_;
  const Commit& commit_;
  std::vector<std::int64_t>::const_iterator returned_, returned_end_;
  std::uint32_t gen_;
  bool doubt_ = false;  ///< of the slot that is locked
};

void RecordCache::committed(const Commit& commit, const Outcome& outcome) noexcept {
  if (outcome.applied) Applier(*this, commit, outcome).run();
}

void RecordCache::watch_slices(std::function<void(Ino)> watcher) {
  std::lock_guard lock(watcher_guard_);
  watcher_ = std::move(watcher);
}

void RecordCache::changed_elsewhere(const Key& key) noexcept {
  drop_changed(key);
  auto* chunk = std::get_if<ChunkKey>(&key);
  if (!chunk) return;
  std::lock_guard lock(watcher_guard_);
  if (watcher_) watcher_(chunk->ino);
}

void RecordCache::drop_changed(const Key& key) {
  auto slot = slot_of(key);
  if (slot == kNoSlot) return;
  auto& shard = shards_[slot / kSlots];
  std::lock_guard lock(shard.mutex);
  mark_changed(shard, slot);
  if (shard.slots[slot % kSlots].pending > 0) shard.slots[slot % kSlots].doubt = true;
  if (auto* attr = std::get_if<AttrKey>(&key)) {
    if (auto* known = shard.attrs.find(attr->ino, generation())) known->certain = false, known->read_at = 0;
  } else if (auto* name = std::get_if<EntryKey>(&key)) {
    if (auto* known = shard.entries.find(NameView{name->parent, name->name}, generation())) known->since = 0;
    drop(shard.complete, name->parent);
  } else {
    drop_record(shard, key);
  }
}

void RecordCache::forget(const Key& key) noexcept {
  auto slot = slot_of(key);
  if (slot == kNoSlot) return;
  auto& shard = shards_[slot / kSlots];
  std::lock_guard lock(shard.mutex);
  mark_changed(shard, slot);
  drop_record(shard, key);
}

void RecordCache::drop_record(Shard& shard, const Key& key) {
  std::visit(Overloaded{[&](const AttrKey& k) { drop(shard.attrs, k.ino); },
                        [&](const EntryKey& k) {
                          drop(shard.entries, NameView{k.parent, k.name});
                          drop(shard.complete, k.parent);
                        },
                        [&](const ChunkKey& k) { drop(shard.chunks, ChunkId{k.ino, k.index}); },
                        [&](const SymlinkKey& k) { drop(shard.symlinks, k.ino); },
                        [&](const XattrsKey& k) { drop(shard.xattrs, k.ino); },
                        [&](const XattrKey& k) { drop(shard.xattrs, k.ino); }, [](const auto&) {}},
             key);
}

void RecordCache::entries_changed_elsewhere(Ino dir) noexcept {
  auto& shard = shard_of(dir);
  std::lock_guard lock(shard.mutex);
  shard.slots[slot_of(dir) % kSlots].names_changed = next_sequence();
  for (auto& slot : shard.slots)
    if (slot.pending > 0) slot.doubt = true;  // a name of this directory may be among them
  drop(shard.complete, dir);
}

void RecordCache::everything_may_have_changed() noexcept {
  remembered_ = 0;
  generation_.fetch_add(1, std::memory_order_acq_rel);
}

void RecordCache::out_of_touch() noexcept {
  right_until_ = std::chrono::steady_clock::now().time_since_epoch();
  remembered_ = generation_.fetch_add(1, std::memory_order_acq_rel);
}

}  // namespace kiseki::meta
