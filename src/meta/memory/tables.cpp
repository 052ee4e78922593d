#include "meta/memory/tables.hpp"

#include "meta/attr_fields.hpp"
#include "meta/patch.hpp"

namespace kiseki::meta::memory {
namespace {

template <class... F>
struct Match : F... {
  using F::operator()...;
};
template <class... F>
Match(F...) -> Match<F...>;

template <class Map, class K>
Record record(const Map& map, const K& key) {
  auto at = map.find(key);
  return at == map.end() ? Record() : Record(at->second);
}

}  // namespace

// ---- reading ----------------------------------------------------------------------------------------------------

Record Tables::read(const Key& key) const {
  return std::visit(
      Match{
          [&](const AttrKey& k) { return record(attrs_, k.ino); },
          [&](const EntryKey& k) { return record(entries_, k); },
          [&](const ChildKey& k) {
            auto at = entries_.find({k.parent, k.name});
            return at == entries_.end() ? Record() : record(attrs_, at->second.ino);
          },
          [&](const ChunkKey& k) {
            auto at = chunks_.find(k);
            return at == chunks_.end() ? Record(Slices()) : Record(at->second);
          },
          [&](const SymlinkKey& k) { return record(symlinks_, k.ino); },
          [&](const XattrKey& k) { return record(xattrs_, k); },
          [&](const XattrsKey& k) {
            Xattrs all;
            for (auto at = xattrs_.lower_bound({k.ino, ""}); at != xattrs_.end() && at->first.ino == k.ino; ++at)
              all.emplace(at->first.name, at->second);
            return Record(std::move(all));
          },
          [&](const ParentsKey& k) {
            Parents all;
            for (auto at = links_.lower_bound({k.ino, Ino{0}}); at != links_.end() && at->first.first == k.ino; ++at)
              all.emplace(at->first.second, at->second);
            return Record(std::move(all));
          },
          [&](const CounterKey& k) { return record(counters_, k.which); },
          [&](const SliceRefKey& k) { return record(slice_refs_, k.id); },
          [&](const DirStatKey& k) { return record(dir_stats_, k.ino); },
          [&](const QuotaKey& k) { return record(quotas_, k); },
          [&](const FileLocksKey& k) {
            FileLocks all;
            for (auto at = file_locks_.lower_bound({k.ino, SessionId{0}, 0}); at != file_locks_.end(); ++at) {
              auto& [ino, sid, owner] = at->first;
              if (ino != k.ino) break;
              all.push_back({sid, owner, at->second});
            }
            return Record(std::move(all));
          },
          [&](const RangeLocksKey& k) {
            RangeLockTable all;
            for (auto at = range_locks_.lower_bound({k.ino, SessionId{0}, 0}); at != range_locks_.end(); ++at) {
              auto& [ino, sid, owner] = at->first;
              if (ino != k.ino) break;
              all.push_back({sid, owner, at->second});
            }
            return Record(std::move(all));
          },
          [&](const AclKey& k) { return record(acls_, k.id); },
          [&](const SettingKey&) { return setting_ ? Record(*setting_) : Record(); },
          [&](const SessionKey& k) { return record(sessions_, k.sid); },
      },
      key);
}

std::int64_t Tables::counter(Counter which) const {
  auto at = counters_.find(which);
  return at == counters_.end() ? first_value(which) : at->second;
}

bool Tables::has_entries(Ino dir) const {
  auto at = entries_.lower_bound({dir, ""});
  return at != entries_.end() && at->first.parent == dir;
}

bool Tables::holds(const Check& check) const {
  return std::visit(Match{
                        [&](const Unchanged& c) { return same_record(read(c.key), c.seen); },
                        [&](const AttrUnchanged& c) {
                          auto at = attrs_.find(c.ino);
                          return at != attrs_.end() && same_fields(at->second, c.seen, c.fields);
                        },
                        [&](const AttrAbsent& c) { return !attrs_.contains(c.ino); },
                        [&](const DirEmpty& c) { return !has_entries(c.ino); },
                        [&](const SlicesBeginWith& c) {
                          auto at = chunks_.find(c.chunk);
                          if (at == chunks_.end()) return c.prefix.empty();
                          return begins_with(at->second, c.prefix);
                        },
                        [&](const CounterWithin& c) { return within(counter(c.which), c.delta, c.limit); },
                    },
                    check);
}

// ---- writing ----------------------------------------------------------------------------------------------------

/// Applies the writes of one commit and remembers how to take them back.
class Tables::Changes {
 public:
  explicit Changes(Tables& tables) : t_(tables) {}

  /// False: a write met a record that is not as it must be.
  bool apply(const std::vector<Write>& writes) {
    for (auto& write : writes)
      if (!std::visit([&](const auto& w) { return one(w); }, write)) return false;
    for (auto dir : uncounted_)
      if (t_.attrs_.contains(dir)) put(t_.dir_stats_, dir, t_.count_children(dir));
    return true;
  }
  void undo() {
    for (auto back = undo_.rbegin(); back != undo_.rend(); ++back) (*back)();
  }
  std::vector<std::int64_t> returned;

 private:
  template <class Map, class V>
  void put(Map& map, const typename Map::key_type& key, V value) {
    remember(map, key);
    map.insert_or_assign(key, std::move(value));
  }
  template <class Map>
  void erase(Map& map, const typename Map::key_type& key) {
    remember(map, key);
    map.erase(key);
  }
  template <class Map>
  void remember(Map& map, const typename Map::key_type& key) {
    auto at = map.find(key);
    if (at == map.end())
      undo_.push_back([&map, key] { map.erase(key); });
    else
      undo_.push_back([&map, key, old = at->second] { map.insert_or_assign(key, old); });
  }
  void link(Ino child, Ino parent, int delta) {
    std::pair key(child, parent);
    auto at = t_.links_.find(key);
    auto links = (at == t_.links_.end() ? 0 : static_cast<std::int64_t>(at->second)) + delta;
    if (links > 0)
      put(t_.links_, key, static_cast<std::uint32_t>(links));
    else
      erase(t_.links_, key);
  }

  bool one(const PutAttr& w) { return put(t_.attrs_, w.ino, w.attr), true; }
  bool one(const PatchAttr& w) {
    auto at = t_.attrs_.find(w.ino);
    if (at == t_.attrs_.end()) return false;
    Attr attr = at->second;
    patch(attr, w);
    return put(t_.attrs_, w.ino, attr), true;
  }
  bool one(const EraseAttr& w) { return erase(t_.attrs_, w.ino), true; }
  bool one(const PutEntry& w) {
    one(EraseEntry{w.key});
    link(w.entry.ino, w.key.parent, 1);
    return put(t_.entries_, w.key, w.entry), true;
  }
  bool one(const EraseEntry& w) {
    auto at = t_.entries_.find(w.key);
    if (at == t_.entries_.end()) return true;
    link(at->second.ino, w.key.parent, -1);
    return erase(t_.entries_, w.key), true;
  }
  bool one(const PutSymlink& w) { return put(t_.symlinks_, w.ino, w.target), true; }
  bool one(const EraseSymlink& w) { return erase(t_.symlinks_, w.ino), true; }
  bool one(const PutXattr& w) { return put(t_.xattrs_, w.key, w.value), true; }
  bool one(const EraseXattr& w) { return erase(t_.xattrs_, w.key), true; }
  bool one(const EraseXattrs& w) {
    for (auto at = t_.xattrs_.lower_bound({w.ino, ""}); at != t_.xattrs_.end() && at->first.ino == w.ino;
         at = t_.xattrs_.lower_bound({w.ino, ""}))
      erase(t_.xattrs_, XattrKey(at->first));
    return true;
  }
  bool one(const AddParent&) { return true; }  // parents are found by the entries
  bool one(const AppendSlices& w) {
    Slices all;
    if (auto at = t_.chunks_.find(w.chunk); at != t_.chunks_.end()) all = at->second;
    all.insert(all.end(), w.slices.begin(), w.slices.end());
    returned.push_back(static_cast<std::int64_t>(all.size()));
    if (!all.empty()) put(t_.chunks_, w.chunk, std::move(all));
    return true;
  }
  bool one(const ReplaceSlices& w) {
    Slices all;
    if (auto at = t_.chunks_.find(w.chunk); at != t_.chunks_.end()) all = at->second;
    if (!replace_slices(all, w)) return false;
    if (all.empty())
      erase(t_.chunks_, w.chunk);
    else
      put(t_.chunks_, w.chunk, std::move(all));
    return true;
  }
  bool one(const EraseChunk& w) { return erase(t_.chunks_, w.chunk), true; }
  bool one(const AddSliceRef& w) {
    SliceRef ref{w.size, 0};
    if (auto at = t_.slice_refs_.find(w.id); at != t_.slice_refs_.end()) ref = at->second;
    ref.refs += w.delta;
    returned.push_back(ref.refs);
    return put(t_.slice_refs_, w.id, ref), true;
  }
  bool one(const EraseSliceRef& w) { return erase(t_.slice_refs_, w.id), true; }
  bool one(const AddCounter& w) {
    auto value = sum(t_.counter(w.which), w.delta);
    returned.push_back(value);
    return put(t_.counters_, w.which, value), true;
  }
  bool one(const PutCounter& w) { return put(t_.counters_, w.which, w.value), true; }
  bool one(const AddDirStat& w) {
    auto at = t_.dir_stats_.find(w.ino);
    if (at == t_.dir_stats_.end()) return uncounted_.insert(w.ino), true;
    return put(t_.dir_stats_, w.ino, sum(at->second, w.delta)), true;
  }
  bool one(const PutDirStat& w) { return uncounted_.erase(w.ino), put(t_.dir_stats_, w.ino, w.stat), true; }
  bool one(const EraseDirStat& w) { return uncounted_.erase(w.ino), erase(t_.dir_stats_, w.ino), true; }
  bool one(const PutQuota& w) { return put(t_.quotas_, w.key, w.quota), true; }
  bool one(const AddQuotaUsage& w) {
    Quota quota;
    if (auto at = t_.quotas_.find(w.key); at != t_.quotas_.end())
      quota = at->second;
    else if (w.key.kind == QuotaKind::directory)
      return true;
    quota.used_space = sum(quota.used_space, w.space);
    quota.used_inodes = sum(quota.used_inodes, w.inodes);
    return put(t_.quotas_, w.key, quota), true;
  }
  bool one(const EraseQuota& w) { return erase(t_.quotas_, w.key), true; }
  bool one(const PutSession& w) {
    Session session = w.session;
    if (auto at = t_.sessions_.find(w.sid); session.info.empty() && at != t_.sessions_.end())
      session.info = at->second.info;
    return put(t_.sessions_, w.sid, std::move(session)), true;
  }
  bool one(const EraseSession& w) { return erase(t_.sessions_, w.sid), true; }
  bool one(const PutSustained& w) {
    std::pair key(w.sid, w.ino);
    if (t_.sustained_.insert(key).second) undo_.push_back([this, key] { t_.sustained_.erase(key); });
    return true;
  }
  bool one(const EraseSustained& w) {
    std::pair key(w.sid, w.ino);
    if (t_.sustained_.erase(key) != 0) undo_.push_back([this, key] { t_.sustained_.insert(key); });
    return true;
  }
  bool one(const PutDeletedFile& w) {
    return put(t_.deleted_files_, w.ino, DeletedFile{w.ino, w.length, w.removed_at}), true;
  }
  bool one(const EraseDeletedFile& w) { return erase(t_.deleted_files_, w.ino), true; }
  bool one(const PutDelayedSlices& w) {
    return put(t_.delayed_, w.compacted, DelayedSlices{w.compacted, w.replaced_at, w.slices}), true;
  }
  bool one(const EraseDelayedSlices& w) { return erase(t_.delayed_, w.compacted), true; }
  bool one(const PutFileLock& w) {
    return put(t_.file_locks_, {w.ino, w.lock.sid, w.lock.owner}, w.lock.exclusive), true;
  }
  bool one(const EraseFileLock& w) { return erase(t_.file_locks_, {w.ino, w.sid, w.owner}), true; }
  bool one(const PutRangeLocks& w) {
    LockOwner key(w.ino, w.locks.sid, w.locks.owner);
    if (w.locks.ranges.empty()) return erase(t_.range_locks_, key), true;
    return put(t_.range_locks_, key, w.locks.ranges), true;
  }
  bool one(const EraseLocksOf& w) {
    erase_locks(t_.file_locks_, w.sid);
    erase_locks(t_.range_locks_, w.sid);
    return true;
  }
  template <class Map>
  void erase_locks(Map& map, SessionId sid) {
    std::vector<LockOwner> owners;
    for (auto& [owner, lock] : map)
      if (std::get<SessionId>(owner) == sid) owners.push_back(owner);
    for (auto& owner : owners) erase(map, owner);
  }
  bool one(const InsertAcl& w) {
    auto id = t_.acls_.empty() ? 1 : t_.acls_.rbegin()->first + 1;
    returned.push_back(id);
    return put(t_.acls_, id, w.rule), true;
  }
  bool one(const PutSetting& w) {
    undo_.push_back([this, old = t_.setting_] { t_.setting_ = old; });
    return t_.setting_ = w.text, true;
  }

  Tables& t_;
  std::vector<std::function<void()>> undo_;
  std::set<Ino> uncounted_;  ///< directories whose missing statistics are counted when all else is applied
};

Outcome Tables::apply(const Commit& commit) {
  Outcome outcome;
  for (std::size_t i = 0; i < commit.checks.size(); ++i)
    if (!holds(commit.checks[i])) outcome.failed.push_back(i);
  if (!outcome.failed.empty()) return outcome;
  Changes changes(*this);
  if (!changes.apply(commit.writes)) {
    changes.undo();
    return outcome;
  }
  outcome.applied = true;
  outcome.returned = std::move(changes.returned);
  return outcome;
}

DirStat Tables::count_children(Ino dir) const {
  DirStat stat;
  for (auto at = entries_.lower_bound({dir, ""}); at != entries_.end() && at->first.parent == dir; ++at) {
    auto attr = attrs_.find(at->second.ino);
    if (attr == attrs_.end()) continue;
    stat = sum(stat, {attr->second.is_file() ? static_cast<std::int64_t>(attr->second.length) : 0,
                      stat_space(attr->second), 1});
  }
  return stat;
}

// ---- scanning ---------------------------------------------------------------------------------------------------

EntryPage Tables::entries(Ino dir, const std::string& cursor, std::size_t limit, bool with_attrs) const {
  EntryPage page;
  auto at = cursor.empty() ? entries_.lower_bound({dir, ""}) : entries_.upper_bound({dir, cursor});
  for (; at != entries_.end() && at->first.parent == dir; ++at) {
    if (page.entries.size() == limit) {
      page.next = limit == 0 ? cursor : page.entries.back().name;
      break;
    }
    ListedEntry listed{at->first.name, at->second, std::nullopt};
    if (auto attr = attrs_.find(at->second.ino); with_attrs && attr != attrs_.end()) listed.attr = attr->second;
    page.entries.push_back(std::move(listed));
  }
  return page;
}

std::vector<ChunkIndex> Tables::chunks_within(Ino ino, ChunkIndex first, ChunkIndex end) const {
  std::vector<ChunkIndex> found;
  for (auto at = chunks_.lower_bound({ino, first}); at != chunks_.end() && at->first < ChunkKey{ino, end}; ++at)
    found.push_back(at->first.index);
  return found;
}

std::vector<StoredChunk> Tables::chunks(Ino ino) const {
  std::vector<StoredChunk> all;
  for (auto at = chunks_.lower_bound({ino, ChunkIndex{0}}); at != chunks_.end() && at->first.ino == ino; ++at)
    all.push_back({at->first.index, at->second});
  return all;
}

std::vector<std::pair<SessionId, Session>> Tables::sessions() const { return {sessions_.begin(), sessions_.end()}; }

SessionLocks Tables::locks(SessionId sid) const {
  SessionLocks all;
  for (auto at = sustained_.lower_bound({sid, Ino{0}}); at != sustained_.end() && at->first == sid; ++at)
    all.sustained.push_back(at->second);
  for (auto& [key, exclusive] : file_locks_)
    if (auto& [ino, by, owner] = key; by == sid) all.file_locks.emplace_back(ino, FileLock{by, owner, exclusive});
  for (auto& [key, ranges] : range_locks_)
    if (auto& [ino, by, owner] = key; by == sid) all.range_locks.emplace_back(ino, RangeLocks{by, owner, ranges});
  return all;
}

std::vector<DeletedFile> Tables::deleted_files(std::int64_t removed_before, std::size_t limit) const {
  std::vector<DeletedFile> all;
  for (auto& [ino, file] : deleted_files_)
    if (file.removed_at < removed_before && all.size() < limit) all.push_back(file);
  return all;
}

std::vector<std::pair<SliceId, SliceRef>> Tables::dead_slices(std::size_t limit) const {
  std::vector<std::pair<SliceId, SliceRef>> all;
  for (auto& [id, ref] : slice_refs_)
    if (ref.refs <= 0 && all.size() < limit) all.emplace_back(id, ref);
  return all;
}

std::vector<DelayedSlices> Tables::delayed_slices(std::int64_t replaced_before, std::size_t limit) const {
  std::vector<DelayedSlices> all;
  for (auto& [id, delayed] : delayed_)
    if (delayed.replaced_at < replaced_before && all.size() < limit) all.push_back(delayed);
  return all;
}

std::vector<std::pair<QuotaKey, Quota>> Tables::quotas() const { return {quotas_.begin(), quotas_.end()}; }
std::vector<std::pair<std::uint32_t, AclRule>> Tables::acls() const { return {acls_.begin(), acls_.end()}; }

}  // namespace kiseki::meta::memory
