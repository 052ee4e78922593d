#include "meta/sqlite/batch.hpp"

#include <algorithm>

#include "meta/attr_fields.hpp"
#include "meta/codec.hpp"
#include "meta/patch.hpp"

namespace kiseki::meta::sqlite {
namespace {
constexpr std::size_t kMostAttrs = 1024;  ///< remembered for the next transaction
}

// ---- a commit ---------------------------------------------------------------------------------------------------

void Batch::forget() {
  counters_ = {};
  attrs_.clear();
  patched_.clear();
  dir_stats_.clear();
}

Outcome Batch::apply(const Commit& commit) {
  Outcome outcome;
  for (std::size_t i = 0; i < commit.checks.size(); ++i)
    if (!holds(commit.checks[i])) outcome.failed.push_back(i);
  if (!outcome.failed.empty() || !patches_hold(commit)) return outcome;
  outcome_ = &outcome;
  for (auto& w : commit.writes) std::visit([this](const auto& one) { write(one); }, w);
  if (!commit.writes.empty()) wrote_ = true;
  outcome.applied = true;
  return outcome;
}

bool Batch::holds(const Check& check) {
  if (auto* limit = std::get_if<CounterWithin>(&check))
    return within(counter(limit->which).value, limit->delta, limit->limit);
  if (auto* seen = std::get_if<AttrUnchanged>(&check)) {
    auto& now = attr(seen->ino);
    return now.attr && same_fields(*now.attr, seen->seen, seen->fields);
  }
  if (auto* unchanged = std::get_if<Unchanged>(&check)) {  // sums that are not in their tables yet
    if (auto* key = std::get_if<CounterKey>(&unchanged->key)) {
      auto& now = counter(key->which);
      return same_record(now.present ? Record(now.value) : Record(), unchanged->seen);
    }
    if (auto* key = std::get_if<DirStatKey>(&unchanged->key))
      if (auto sum = dir_stats_.extract(key->ino)) flush_dir_stat(key->ino, sum.mapped());
  }
  return sqlite::holds(db_, check);
}

/// Whether every inode that is patched exists, or is put by the same commit.
bool Batch::patches_hold(const Commit& commit) {
  for (std::size_t i = 0; i < commit.writes.size(); ++i) {
    auto* patched = std::get_if<PatchAttr>(&commit.writes[i]);
    if (!patched) continue;
    auto put = [&](const Write& write) {
      auto* attr = std::get_if<PutAttr>(&write);
      return attr && attr->ino == patched->ino;
    };
    if (std::any_of(commit.writes.begin(), commit.writes.begin() + static_cast<std::ptrdiff_t>(i), put)) continue;
    if (!attr(patched->ino).attr) return false;
  }
  return true;
}

Batch::CounterNow& Batch::counter(Counter which) {
  auto& now = counters_.at(static_cast<std::size_t>(which));
  if (!now.known) {
    auto stored = read_counter(db_, which);
    now = {true, stored.has_value(), false, stored.value_or(first_value(which))};
  }
  return now;
}

Batch::AttrNow& Batch::attr(Ino ino) {
  auto [at, is_new] = attrs_.try_emplace(ino);
  if (is_new) at->second.attr = read_attr(db_, ino);
  return at->second;
}

void Batch::flush_attrs() {
  for (auto ino : std::exchange(patched_, {})) {
    auto& now = attrs_[ino];
    if (now.attr && now.changed != 0) flush_attr(ino, now);
    now.changed = 0;
  }
}

void Batch::flush_attr(Ino ino, const AttrNow& now) {
  auto mtime = codec::split(now.attr->mtime), ctime = codec::split(now.attr->ctime);
  bool touched = (now.changed & ~(kMtime | kCtime | kNlink)) == 0;   // the parent of a new name
  bool written = (now.changed & ~(kMtime | kCtime | kLength)) == 0;  // a file that was written
  auto run = db_.run(touched ? Sql::touch_attr : written ? Sql::grow_attr : Sql::put_attr);
  if (!touched && !written) {
    bind_attr(run.id(ino.value), *now.attr);
  } else {
    run.integer(mtime.micros).integer(mtime.nanos).integer(ctime.micros).integer(ctime.nanos);
    run.id(touched ? now.attr->nlink : now.attr->length).id(ino.value);
  }
  run.done();
}

void Batch::finish() {
  flush_attrs();
  for (std::size_t i = 0; i < counters_.size(); ++i) {
    if (!counters_[i].dirty) continue;
    auto run = db_.run(Sql::put_counter);
    run.text(counter_name(static_cast<Counter>(i))).integer(counters_[i].value).done();
    counters_[i].dirty = false;
  }
  auto sums = std::move(dir_stats_);
  dir_stats_.clear();
  for (auto& [ino, sum] : sums) flush_dir_stat(ino, sum);
  if (attrs_.size() > kMostAttrs) attrs_.clear();
}

void Batch::flush_dir_stat(Ino ino, DirStat delta) {
  {
    auto run = db_.run(Sql::add_dir_stat);
    if (run.integer(delta.length).integer(delta.space).integer(delta.inodes).id(ino.value).done() > 0) return;
  }
  if (!has_attr(db_, ino)) return;
  flush_attrs();  // lengths are counted in SQL
  write(PutDirStat{ino, count_children(db_, ino)});
}

// ---- inodes and names -------------------------------------------------------------------------------------------

void Batch::write(const PutAttr& w) {
  attrs_[w.ino] = {w.attr, 0};
  auto run = db_.run(Sql::put_attr);
  bind_attr(run.id(w.ino.value), w.attr);
  run.done();
}

void Batch::write(const PatchAttr& w) {
  auto& now = attr(w.ino);
  if (!now.attr) throw LateConflict();
  patch(*now.attr, w);
  if (now.changed == 0) patched_.push_back(w.ino);
  now.changed |= w.set | (w.add_nlink != 0 ? kNlink : 0u) | (w.grow_length ? kLength : 0u);
}

void Batch::write(const EraseAttr& w) {
  attrs_[w.ino] = {};
  auto run = db_.run(Sql::erase_attr);
  run.id(w.ino.value).done();
}

void Batch::write(const PutEntry& w) {
  auto run = db_.run(Sql::put_entry);
  run.id(w.key.parent.value).blob(w.key.name).id(w.entry.ino.value).integer(static_cast<int>(w.entry.type)).done();
}

void Batch::write(const EraseEntry& w) {
  auto run = db_.run(Sql::erase_entry);
  run.id(w.key.parent.value).blob(w.key.name).done();
}

void Batch::write(const PutSymlink& w) {
  auto run = db_.run(Sql::put_symlink);
  run.id(w.ino.value).blob(w.target).done();
}

void Batch::write(const EraseSymlink& w) {
  auto run = db_.run(Sql::erase_symlink);
  run.id(w.ino.value).done();
}

void Batch::write(const PutXattr& w) {
  auto run = db_.run(Sql::put_xattr);
  run.id(w.key.ino.value).text(w.key.name).blob(w.value).done();
}

void Batch::write(const EraseXattr& w) {
  auto run = db_.run(Sql::erase_xattr);
  run.id(w.key.ino.value).text(w.key.name).done();
}

void Batch::write(const EraseXattrs& w) {
  auto run = db_.run(Sql::erase_xattrs);
  run.id(w.ino.value).done();
}

// ---- data -------------------------------------------------------------------------------------------------------

void Batch::write(const AppendSlices& w) {
  if (w.slices.empty()) {
    outcome_->returned.push_back(static_cast<std::int64_t>(read_chunk(db_, w.chunk).size()));
    return;
  }
  auto bytes = codec::encode(w.slices);
  auto run = db_.run(Sql::append_slices);
  run.id(w.chunk.ino.value).integer(w.chunk.index.value).blob(bytes).step();
  auto size = static_cast<std::size_t>(run.integer_at(0));
  if (size % codec::kSliceBytes != 0) throw SqlError{kCorruptRecord, "corrupt record: chunk.slices"};
  outcome_->returned.push_back(static_cast<std::int64_t>(size / codec::kSliceBytes));
}

void Batch::write(const ReplaceSlices& w) {
  auto slices = read_chunk(db_, w.chunk);
  if (!replace_slices(slices, w)) throw LateConflict();
  if (slices.empty()) return write(EraseChunk{w.chunk});
  auto bytes = codec::encode(slices);
  auto run = db_.run(Sql::put_chunk);
  run.id(w.chunk.ino.value).integer(w.chunk.index.value).blob(bytes).done();
}

void Batch::write(const EraseChunk& w) {
  auto run = db_.run(Sql::erase_chunk);
  run.id(w.chunk.ino.value).integer(w.chunk.index.value).done();
}

void Batch::write(const AddSliceRef& w) {
  auto run = db_.run(Sql::add_slice_ref);
  run.id(w.id.value).integer(w.size).integer(w.delta).step();
  outcome_->returned.push_back(run.integer_at(0));
}

void Batch::write(const EraseSliceRef& w) {
  auto run = db_.run(Sql::erase_slice_ref);
  run.id(w.id.value).done();
}

void Batch::write(const PutDelayedSlices& w) {
  auto bytes = codec::encode(w.slices);
  auto run = db_.run(Sql::put_delayed);
  run.id(w.compacted.value).integer(w.replaced_at).blob(bytes).done();
}

void Batch::write(const EraseDelayedSlices& w) {
  auto run = db_.run(Sql::erase_delayed);
  run.id(w.compacted.value).done();
}

void Batch::write(const PutDeletedFile& w) {
  auto run = db_.run(Sql::put_deleted);
  run.id(w.ino.value).id(w.length).integer(w.removed_at).done();
}

void Batch::write(const EraseDeletedFile& w) {
  auto run = db_.run(Sql::erase_deleted);
  run.id(w.ino.value).done();
}

// ---- usage ------------------------------------------------------------------------------------------------------

void Batch::write(const AddCounter& w) {
  auto& now = counter(w.which);
  now.value = sum(now.value, w.delta);
  now.present = now.dirty = true;
  outcome_->returned.push_back(now.value);
}

void Batch::write(const PutCounter& w) {
  counters_.at(static_cast<std::size_t>(w.which)) = {true, true, true, w.value};
}

void Batch::write(const AddDirStat& w) {
  auto& pending = dir_stats_[w.ino];
  pending = sum(pending, w.delta);
}

void Batch::write(const PutDirStat& w) {
  dir_stats_.erase(w.ino);
  auto run = db_.run(Sql::put_dir_stat);
  run.id(w.ino.value).integer(w.stat.length).integer(w.stat.space).integer(w.stat.inodes).done();
}

void Batch::write(const EraseDirStat& w) {
  dir_stats_.erase(w.ino);
  auto run = db_.run(Sql::erase_dir_stat);
  run.id(w.ino.value).done();
}

void Batch::write(const PutQuota& w) {
  bool dir = w.key.kind == QuotaKind::directory;
  auto run = db_.run(dir ? Sql::put_dir_quota : Sql::put_id_quota);
  if (!dir) run.integer(static_cast<int>(w.key.kind));
  run.id(w.key.id)
      .integer(w.quota.max_space)
      .integer(w.quota.max_inodes)
      .integer(w.quota.used_space)
      .integer(w.quota.used_inodes)
      .done();
}

void Batch::write(const AddQuotaUsage& w) {
  if (w.key.kind == QuotaKind::directory) {
    auto run = db_.run(Sql::add_dir_quota);
    run.integer(w.space).integer(w.inodes).id(w.key.id).done();
    return;
  }
  auto run = db_.run(Sql::add_id_quota);
  run.integer(static_cast<int>(w.key.kind)).id(w.key.id).integer(w.space).integer(w.inodes).done();
}

void Batch::write(const EraseQuota& w) {
  bool dir = w.key.kind == QuotaKind::directory;
  auto run = db_.run(dir ? Sql::erase_dir_quota : Sql::erase_id_quota);
  if (!dir) run.integer(static_cast<int>(w.key.kind));
  run.id(w.key.id).done();
}

// ---- sessions, locks, the rest ----------------------------------------------------------------------------------

void Batch::write(const PutSession& w) {
  auto run = db_.run(Sql::put_session);
  run.id(w.sid.value).integer(w.session.expire).blob(w.session.info).done();
}

void Batch::write(const EraseSession& w) {
  auto run = db_.run(Sql::erase_session);
  run.id(w.sid.value).done();
}

void Batch::write(const PutSustained& w) {
  auto run = db_.run(Sql::put_sustained);
  run.id(w.sid.value).id(w.ino.value).done();
}

void Batch::write(const EraseSustained& w) {
  auto run = db_.run(Sql::erase_sustained);
  run.id(w.sid.value).id(w.ino.value).done();
}

void Batch::write(const PutFileLock& w) {
  auto run = db_.run(Sql::put_flock);
  run.id(w.ino.value).id(w.lock.sid.value).id(w.lock.owner).integer(codec::encode_lock_type(w.lock.exclusive)).done();
}

void Batch::write(const EraseFileLock& w) {
  auto run = db_.run(Sql::erase_flock);
  run.id(w.ino.value).id(w.sid.value).id(w.owner).done();
}

void Batch::write(const PutRangeLocks& w) {
  auto bytes = codec::encode(w.locks.ranges);
  auto run = db_.run(bytes.empty() ? Sql::erase_plock : Sql::put_plock);
  run.id(w.ino.value).id(w.locks.sid.value).id(w.locks.owner);
  if (!bytes.empty()) run.blob(bytes);
  run.done();
}

void Batch::write(const EraseLocksOf& w) {
  for (auto which : {Sql::erase_flocks_of, Sql::erase_plocks_of}) {
    auto run = db_.run(which);
    run.id(w.sid.value).done();
  }
}

void Batch::write(const InsertAcl& w) {
  auto users = codec::encode(w.rule.users), groups = codec::encode(w.rule.groups);
  auto run = db_.run(Sql::add_acl);
  run.integer(w.rule.owner)
      .integer(w.rule.group)
      .integer(w.rule.mask)
      .integer(w.rule.other)
      .blob(users)
      .blob(groups)
      .done();
  outcome_->returned.push_back(sqlite3_last_insert_rowid(db_.handle()));
}

void Batch::write(const PutSetting& w) {
  auto run = db_.run(Sql::put_setting);
  run.text(w.text).done();
}

}  // namespace kiseki::meta::sqlite
