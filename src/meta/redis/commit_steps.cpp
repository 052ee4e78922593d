#include "meta/redis/commit_steps.hpp"

#include <algorithm>
#include <cstring>

#include "meta/codec.hpp"
#include "meta/patch.hpp"
#include "meta/redis/attr_bytes.hpp"

namespace kiseki::meta::redis {
namespace {

std::string bytes_of(const Entry& entry) {
  auto bytes = codec::encode(entry);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
std::string bytes_of(const Slice& slice) {
  auto bytes = codec::encode(slice);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
std::string text(std::integral auto number) { return std::to_string(number); }
std::string lock_field(SessionId sid, std::uint64_t owner) { return codec::encode(codec::LockField{sid, owner}); }
std::string lock_prefix(SessionId sid) { return text(sid.value) + "_"; }
std::string slice_field(SliceId id, std::uint32_t size) { return codec::encode(codec::SliceField{id, size}); }
std::string lock_type(const FileLock& lock) { return std::string(1, codec::encode_lock_type(lock.exclusive)); }

template <class... Kinds>
bool is_any(const Write& write) {
  return (std::holds_alternative<Kinds>(write) || ...);
}
bool returns(const Write& write) { return is_any<AppendSlices, AddSliceRef, AddCounter, InsertAcl>(write); }

}  // namespace

CommitSteps::CommitSteps(const KeyNames& names, const Commit& commit) : names_(names) {
  for (std::size_t i = 0; i < commit.checks.size(); ++i) check(commit.checks[i], text(i));
  need_patched(commit);
  need_replaced(commit);
  args.emplace_back("!");
  // What adds to a counter that is no number fails, and nothing has been written yet. Attributes are set whatever was
  // there; a name that then cannot be written leaves an inode without a name, not a name without an inode.
  write_all(commit, Part::counters);
  write_all(commit, Part::attributes);
  args.emplace_back("=");
  write_all(commit, Part::rest);
  finish();
}

CommitSteps::Part CommitSteps::part_of(const Write& write) {
  if (is_any<AddCounter, PutCounter>(write)) return Part::counters;
  return is_any<PutAttr, PatchAttr, EraseAttr>(write) ? Part::attributes : Part::rest;
}

void CommitSteps::write_all(const Commit& commit, Part part) {
  std::size_t place = 0;
  for (auto& w : commit.writes) {
    bool now = part_of(w) == part;
    if (returns(w)) {
      if (now) places_.push_back(place);
      ++place;
    }
    if (now) std::visit([this](const auto& one) { write(one); }, w);
    auto* gone = std::get_if<EraseAttr>(&w);
    if (gone && part == Part::rest) erase(names_.parents(gone->ino));
  }
}

std::optional<std::vector<std::int64_t>> CommitSteps::returned(std::string_view values) const {
  std::vector<std::int64_t> all(places_.size());
  for (std::size_t i = 0; i < places_.size(); ++i) {
    auto cut = values.find(',');
    auto value = codec::decode_number(values.substr(0, cut));
    if (!value) return std::nullopt;
    all[places_[i]] = *value;
    values = cut == values.npos ? std::string_view() : values.substr(cut + 1);
  }
  return all;
}

template <class... Args>
void CommitSteps::step(std::string_view op, std::vector<std::string> step_keys, Args... step_args) {
  auto is_erased = [this](const std::string& key) {
    return std::find(erased_.begin(), erased_.end(), key) != erased_.end();
  };
  if (!erased_.empty() && std::any_of(step_keys.begin(), step_keys.end(), is_erased)) {
    args.emplace_back("-");
    erased_.clear();
  }
  args.emplace_back(op);
  for (auto& key : step_keys) {
    if (names_.clustered()) declared_.insert(key);
    args.push_back(std::move(key));
  }
  (args.push_back(std::move(step_args)), ...);
}

void CommitSteps::ranges_step(std::string_view op, const std::string& key, const std::vector<ByteField>& ranges,
                              const std::string* index) {
  std::string bytes;
  for (auto& range : ranges) {
    bytes += static_cast<char>(range.from);
    bytes += static_cast<char>(range.to);
    bytes += range.bytes;
  }
  index ? step(op, {key}, *index, std::move(bytes)) : step(op, {key}, std::move(bytes));
}

void CommitSteps::read(net::redis::Strings& list, std::string key) {
  if (std::find(list.begin(), list.end(), key) == list.end()) list.push_back(std::move(key));
}

void CommitSteps::erase(std::string key) {
  step("D", {key});
  erased_.push_back(std::move(key));
}

// ---- checks -----------------------------------------------------------------------------------------------------

void CommitSteps::check(const Check& check, const std::string& index) {
  if (auto* c = std::get_if<Unchanged>(&check)) return unchanged(*c, index);
  if (auto* c = std::get_if<AttrUnchanged>(&check)) return attr_unchanged(*c, index);
  if (auto* c = std::get_if<AttrAbsent>(&check)) {
    read(attributes, names_.attr(c->ino));
    return step("n", {names_.attr(c->ino)}, index);
  }
  if (auto* c = std::get_if<DirEmpty>(&check)) return step("e", {names_.entries(c->ino)}, index);
  if (auto* c = std::get_if<SlicesBeginWith>(&check))
    return step("l", {names_.chunk(c->chunk)}, index, text(c->prefix.size()), codec::encode(c->prefix));
  auto& within = std::get<CounterWithin>(check);
  // counter + delta <= limit, as a bound on what is stored; 128 bits, so that nothing wraps.
  auto most = static_cast<__int128>(within.limit) - within.delta - stored_offset(within.which);
  if (most < INT64_MIN) return step("f", {}, index);
  if (most > INT64_MAX) return;
  read(counters, names_.counter(within.which));
  step("w", {names_.counter(within.which)}, index, text(static_cast<std::int64_t>(most)));
}

void CommitSteps::attr_unchanged(const AttrUnchanged& c, const std::string& index) {
  auto key = names_.attr(c.ino);
  read(attributes, key);
  ranges_step("a", key, fields_of(c.seen, c.fields), &index);
  if ((c.fields & kType) && !(c.fields & kMode)) step("t", {key}, index, text(static_cast<unsigned>(c.seen.type)));
  if ((c.fields & kMode) && !(c.fields & kType)) step("o", {key}, index, text(c.seen.mode));
}

void CommitSteps::field(const std::string& index, std::string key, std::string field,
                        const std::optional<std::string>& seen) {
  if (seen)
    step("h", {std::move(key)}, index, std::move(field), *seen);
  else
    step("ha", {std::move(key)}, index, std::move(field));
}

void CommitSteps::hash(const std::string& index, std::string key, const std::string& kind,
                       const std::vector<std::pair<std::string, std::string>>& seen) {
  step("m", {std::move(key)}, index, kind, text(seen.size()));
  for (auto& [name, value] : seen) {
    args.push_back(name);
    args.push_back(value);
  }
}

void CommitSteps::unchanged(const Unchanged& c, const std::string& index) {
  auto seen = [&]<class T>(T*) { return std::get_if<T>(&c.seen); };
  auto text_seen = [&]() -> std::optional<std::string> {
    auto* value = std::get_if<std::string>(&c.seen);
    return value ? std::optional(*value) : std::nullopt;
  };
  auto string = [&](std::string key, const std::optional<std::string>& value) {
    if (value)
      step("s", {std::move(key)}, index, *value);
    else
      step("sa", {std::move(key)}, index);
  };
  std::vector<std::pair<std::string, std::string>> fields;
  if (auto* k = std::get_if<EntryKey>(&c.key)) {
    auto* entry = seen(static_cast<Entry*>(nullptr));
    return field(index, names_.entries(k->parent), k->name, entry ? std::optional(bytes_of(*entry)) : std::nullopt);
  }
  if (auto* k = std::get_if<XattrKey>(&c.key)) return field(index, names_.xattrs(k->ino), k->name, text_seen());
  if (auto* k = std::get_if<SymlinkKey>(&c.key)) return string(names_.symlink(k->ino), text_seen());
  if (std::holds_alternative<SettingKey>(c.key)) return string(names_.named("setting"), text_seen());
  if (auto* k = std::get_if<CounterKey>(&c.key)) {
    auto* value = seen(static_cast<std::int64_t*>(nullptr));
    return string(names_.counter(k->which),
                  value ? std::optional(text(*value - stored_offset(k->which))) : std::nullopt);
  }
  if (auto* k = std::get_if<XattrsKey>(&c.key)) {
    if (auto* all = seen(static_cast<Xattrs*>(nullptr))) fields.assign(all->begin(), all->end());
    return hash(index, names_.xattrs(k->ino), "", fields);
  }
  if (auto* k = std::get_if<ParentsKey>(&c.key)) {
    if (auto* all = seen(static_cast<Parents*>(nullptr)))
      for (auto& [parent, links] : *all) fields.emplace_back(text(parent.value), text(links));
    return hash(index, names_.parents(k->ino), "links", fields);
  }
  if (auto* k = std::get_if<FileLocksKey>(&c.key)) {
    if (auto* all = seen(static_cast<FileLocks*>(nullptr)))
      for (auto& lock : *all) fields.emplace_back(lock_field(lock.sid, lock.owner), lock_type(lock));
    return hash(index, names_.file_locks(k->ino), "", fields);
  }
  if (auto* k = std::get_if<RangeLocksKey>(&c.key)) {
    if (auto* all = seen(static_cast<RangeLockTable*>(nullptr)))
      for (auto& locks : *all) fields.emplace_back(lock_field(locks.sid, locks.owner), codec::encode(locks.ranges));
    return hash(index, names_.range_locks(k->ino), "", fields);
  }
  if (auto* k = std::get_if<AclKey>(&c.key)) {
    auto* rule = seen(static_cast<AclRule*>(nullptr));
    return field(index, names_.named("acl"), text(k->id), rule ? std::optional(codec::encode(*rule)) : std::nullopt);
  }
  if (auto* k = std::get_if<SliceRefKey>(&c.key)) {
    auto* ref = seen(static_cast<SliceRef*>(nullptr));
    if (!ref) return step("f", {}, index);  // here no count is never absent: it is one
    return step("hd", {names_.named("sliceRef")}, index, slice_field(k->id, k->size), std::string("0"),
                text(codec::stored_refs(ref->refs)));
  }
  if (auto* k = std::get_if<DirStatKey>(&c.key))
    return dir_stat_unchanged(k->ino, seen(static_cast<DirStat*>(nullptr)), index);
  if (auto* k = std::get_if<QuotaKey>(&c.key)) return quota_unchanged(*k, seen(static_cast<Quota*>(nullptr)), index);
  if (auto* k = std::get_if<SessionKey>(&c.key))
    return session_unchanged(k->sid, seen(static_cast<Session*>(nullptr)), index);
  step("f", {}, index);  // attributes and chunks have checks of their own
}

void CommitSteps::dir_stat_unchanged(Ino ino, const DirStat* seen, const std::string& index) {
  auto names = names_.dir_stats();
  auto id = text(ino.value);
  if (!seen) return step("ha", {names.space}, index, id);
  step("h", {names.space}, index, id, text(seen->space));
  step("hd", {names.lengths}, index, id, std::string("0"), text(seen->length));
  step("hd", {names.inodes}, index, id, std::string("0"), text(seen->inodes));
}

void CommitSteps::quota_unchanged(const QuotaKey& key, const Quota* seen, const std::string& index) {
  auto names = names_.quotas(key.kind);
  auto id = text(key.id);
  if (!seen) return step("ha", {names.limits}, index, id);
  step("h", {names.limits}, index, id, codec::encode_limits(*seen));
  step("hd", {names.space}, index, id, std::string("0"), text(seen->used_space));
  step("hd", {names.inodes}, index, id, std::string("0"), text(seen->used_inodes));
}

void CommitSteps::session_unchanged(SessionId sid, const Session* seen, const std::string& index) {
  auto id = text(sid.value);
  step("z", {names_.named("allSessions")}, index, id, seen ? text(seen->expire) : std::string());
  if (seen) step("hd", {names_.named("sessionInfos")}, index, id, std::string(), seen->info);
}

void CommitSteps::need_patched(const Commit& commit) {
  std::map<Ino, bool> known;  // checked, put by the writes before, or erased by them
  for (auto& check : commit.checks)
    if (auto* c = std::get_if<AttrUnchanged>(&check)) known[c->ino] = true;
  for (auto& w : commit.writes) {
    if (auto* put = std::get_if<PutAttr>(&w)) known[put->ino] = true;
    if (auto* erase = std::get_if<EraseAttr>(&w)) known[erase->ino] = false;
    auto* patch = std::get_if<PatchAttr>(&w);
    if (!patch) continue;
    auto at = known.find(patch->ino);
    if (at == known.end())
      read(attributes, names_.attr(patch->ino)), step("p", {names_.attr(patch->ino)}), known[patch->ino] = true;
    else if (!at->second)
      step("F", {});
  }
}

void CommitSteps::need_replaced(const Commit& commit) {
  struct Length {
    std::int64_t more = 0;  // than stored before the commit; or all of it
    bool absolute = false;
  };
  std::map<std::pair<Ino, ChunkIndex>, Length> lengths;
  for (auto& w : commit.writes) {
    if (auto* append = std::get_if<AppendSlices>(&w))
      lengths[{append->chunk.ino, append->chunk.index}].more += static_cast<std::int64_t>(append->slices.size());
    if (auto* erase = std::get_if<EraseChunk>(&w)) lengths[{erase->chunk.ino, erase->chunk.index}] = {0, true};
    auto* replace = std::get_if<ReplaceSlices>(&w);
    if (!replace) continue;
    auto& length = lengths[{replace->chunk.ino, replace->chunk.index}];
    auto need = std::int64_t{replace->first} + replace->count - length.more;
    if (need > 0 && length.absolute) step("F", {});
    if (need > 0 && !length.absolute) step("c", {names_.chunk(replace->chunk)}, text(need));
    length.more += static_cast<std::int64_t>(replace->with.size()) - replace->count;
  }
}

// ---- inodes and names -------------------------------------------------------------------------------------------

void CommitSteps::write(const PutAttr& w) {
  auto key = names_.attr(w.ino);
  step("A", {key}, codec::encode(w.attr));
  cached(std::move(key));
  put_[w.ino] = w.attr;
  // The record cache knows that a new directory has no names and a new file no slices: somebody else may change that.
  if (w.attr.is_dir()) cached(names_.entries(w.ino));
  if (w.attr.is_file() && w.attr.length == 0) cached(names_.chunk({w.ino, ChunkIndex{0}}));
}

void CommitSteps::write(const PatchAttr& w) {
  auto key = names_.attr(w.ino);
  if (auto put = put_.find(w.ino); put != put_.end()) {
    patch(put->second, w);
    return step("A", {key}, codec::encode(put->second));
  }
  auto ranges = fields_of(w.to, w.set);
  bool type = (w.set & kType) && !(w.set & kMode), mode = (w.set & kMode) && !(w.set & kType);
  bool computed = type || mode || w.add_nlink != 0 || w.grow_length;
  if (!ranges.empty() || !computed) ranges_step("P", key, ranges, nullptr);
  cached(key);
  if (!computed) return;
  std::string length;
  if (w.grow_length) BigEndianWriter(length).u64(w.to.length);
  step("PX", {key}, type ? text(static_cast<unsigned>(w.to.type)) : std::string("-1"),
       mode ? text(w.to.mode) : std::string("-1"), text(w.add_nlink), length);
}

void CommitSteps::write(const EraseAttr& w) {
  put_.erase(w.ino);
  erase(names_.attr(w.ino));
}

void CommitSteps::write(const PutEntry& w) {
  auto key = names_.entries(w.key.parent);
  step("H", {key}, w.key.name, bytes_of(w.entry));
  cached(std::move(key));
}

void CommitSteps::write(const EraseEntry& w) {
  auto key = names_.entries(w.key.parent);
  step("HD", {key}, w.key.name);
  cached(std::move(key));
}

void CommitSteps::write(const PutSymlink& w) {
  auto key = names_.symlink(w.ino);
  step("S", {key}, w.target);
  cached(std::move(key));
}

void CommitSteps::write(const EraseSymlink& w) { erase(names_.symlink(w.ino)); }

void CommitSteps::write(const PutXattr& w) {
  auto key = names_.xattrs(w.key.ino);
  step("H", {key}, w.key.name, w.value);
  cached(std::move(key));
}

void CommitSteps::write(const EraseXattr& w) {
  auto key = names_.xattrs(w.key.ino);
  step("HD", {key}, w.key.name);
  cached(std::move(key));
}

void CommitSteps::write(const EraseXattrs& w) { erase(names_.xattrs(w.ino)); }

void CommitSteps::write(const AddParent& w) {
  if (w.delta != 0) step("N", {names_.parents(w.ino)}, text(w.parent.value), text(w.delta));
}

// ---- data -------------------------------------------------------------------------------------------------------

void CommitSteps::write(const AppendSlices& w) {
  auto key = names_.chunk(w.chunk);
  step("L", {key}, text(w.slices.size()));
  for (auto& slice : w.slices) args.push_back(bytes_of(slice));
  cached(std::move(key));
}

void CommitSteps::write(const ReplaceSlices& w) {
  auto key = names_.chunk(w.chunk);
  step("C", {key}, text(w.first), text(w.count), text(w.with.size()));
  for (auto& slice : w.with) args.push_back(bytes_of(slice));
  cached(std::move(key));
}

void CommitSteps::write(const EraseChunk& w) { erase(names_.chunk(w.chunk)); }

void CommitSteps::write(const AddSliceRef& w) {
  auto field = slice_field(w.id, w.size);
  auto key = names_.named("sliceRef");
  if (!w.made) return step("K", {key}, field, text(w.delta));
  step("R", {}, text(w.delta));
  if (w.delta != 1) step("H", {key}, field, text(codec::stored_refs(w.delta)));  // one is not written
}

void CommitSteps::write(const EraseSliceRef& w) { step("HD", {names_.named("sliceRef")}, slice_field(w.id, w.size)); }

void CommitSteps::write(const PutDelayedSlices& w) {
  step("H", {names_.named("delSlices")}, codec::encode(codec::DelayedField{w.compacted, w.replaced_at}),
       codec::encode(w.slices));
}

void CommitSteps::write(const EraseDelayedSlices& w) {
  step("HD", {names_.named("delSlices")}, codec::encode(codec::DelayedField{w.compacted, w.replaced_at}));
}

void CommitSteps::write(const PutDeletedFile& w) {
  step("Z", {names_.named("delfiles")}, text(w.removed_at), codec::encode(codec::DeletedMember{w.ino, w.length}));
}

void CommitSteps::write(const EraseDeletedFile& w) {
  step("ZD", {names_.named("delfiles")}, codec::encode(codec::DeletedMember{w.ino, w.length}));
}

// ---- usage ------------------------------------------------------------------------------------------------------

void CommitSteps::write(const AddCounter& w) {
  auto key = names_.counter(w.which);
  read(counters, key);
  step("I", {std::move(key)}, text(w.delta), text(stored_offset(w.which)));
}

void CommitSteps::write(const PutCounter& w) {
  step("S", {names_.counter(w.which)}, text(w.value - stored_offset(w.which)));
}

void CommitSteps::write(const AddDirStat& w) {
  auto& change = sums_[w.ino];
  change.add = sum(change.add.value_or(DirStat()), w.delta);
}

void CommitSteps::write(const PutDirStat& w) { sums_[w.ino] = {w.stat, false, std::nullopt}; }
void CommitSteps::write(const EraseDirStat& w) { sums_[w.ino] = {std::nullopt, true, std::nullopt}; }

void CommitSteps::flush_sum(Ino ino, const SumChange& change) {
  auto names = names_.dir_stats();
  auto id = text(ino.value);
  if (change.put) {
    auto all = sum(*change.put, change.add.value_or(DirStat()));
    step("H", {names.lengths}, id, text(all.length));
    step("H", {names.space}, id, text(all.space));
    return step("H", {names.inodes}, id, text(all.inodes));
  }
  if (change.erased)
    for (auto& key : {names.lengths, names.space, names.inodes}) step("HD", {key}, id);
  if (!change.add) return;
  if (names_.clustered())
    declared_.insert({names.lengths, names.space, names.inodes, names_.entries(ino), names_.attr(ino)});
  step("V", {}, id, text(change.add->length), text(change.add->space), text(change.add->inodes));
}

void CommitSteps::write(const PutQuota& w) {
  auto names = names_.quotas(w.key.kind);
  auto id = text(w.key.id);
  step("H", {names.limits}, id, codec::encode_limits(w.quota));
  step("H", {names.space}, id, text(w.quota.used_space));
  step("H", {names.inodes}, id, text(w.quota.used_inodes));
}

void CommitSteps::write(const AddQuotaUsage& w) {
  auto names = names_.quotas(w.key.kind);
  step("Q", {names.limits, names.space, names.inodes}, text(w.key.id), text(w.space), text(w.inodes),
       std::string(w.key.kind == QuotaKind::directory ? "d" : "o"));
}

void CommitSteps::write(const EraseQuota& w) {
  auto names = names_.quotas(w.key.kind);
  for (auto& key : {names.limits, names.space, names.inodes}) step("HD", {key}, text(w.key.id));
}

// ---- sessions, locks, the rest ----------------------------------------------------------------------------------

void CommitSteps::write(const PutSession& w) {
  step("Z", {names_.named("allSessions")}, text(w.session.expire), text(w.sid.value));
  if (!w.session.info.empty()) step("H", {names_.named("sessionInfos")}, text(w.sid.value), w.session.info);
}

void CommitSteps::write(const EraseSession& w) {
  step("ZD", {names_.named("allSessions")}, text(w.sid.value));
  step("HD", {names_.named("sessionInfos")}, text(w.sid.value));
}

void CommitSteps::write(const PutSustained& w) { step("M", {names_.sustained(w.sid)}, text(w.ino.value)); }
void CommitSteps::write(const EraseSustained& w) { step("MD", {names_.sustained(w.sid)}, text(w.ino.value)); }

void CommitSteps::write(const PutFileLock& w) {
  auto key = names_.file_locks(w.ino);
  step("H", {key}, lock_field(w.lock.sid, w.lock.owner), lock_type(w.lock));
  step("M", {names_.locked(w.lock.sid)}, key);
}

void CommitSteps::write(const EraseFileLock& w) {
  step("U", {names_.file_locks(w.ino), names_.locked(w.sid)}, lock_field(w.sid, w.owner), lock_prefix(w.sid));
}

void CommitSteps::write(const PutRangeLocks& w) {
  auto key = names_.range_locks(w.ino);
  auto field = lock_field(w.locks.sid, w.locks.owner);
  if (w.locks.ranges.empty()) return step("U", {key, names_.locked(w.locks.sid)}, field, lock_prefix(w.locks.sid));
  step("H", {key}, field, codec::encode(w.locks.ranges));
  step("M", {names_.locked(w.locks.sid)}, key);
}

void CommitSteps::write(const EraseLocksOf& w) { step("UA", {names_.locked(w.sid)}, lock_prefix(w.sid)); }

void CommitSteps::write(const InsertAcl& w) {
  step("G", {names_.named("aclMaxId"), names_.named("acl")}, codec::encode(w.rule));
}

void CommitSteps::write(const PutSetting& w) { step("S", {names_.named("setting")}, w.text); }

void CommitSteps::finish() {
  for (auto& [ino, change] : sums_) flush_sum(ino, change);
}

}  // namespace kiseki::meta::redis
