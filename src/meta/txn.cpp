#include "meta/txn.hpp"

#include <algorithm>
#include <boost/system/system_error.hpp>
#include <cassert>
#include <random>

#include "core/async.hpp"
#include "core/log.hpp"
#include "core/metrics.hpp"
#include "meta/patch.hpp"

namespace kiseki::meta {

// ---- reading ------------------------------------------------------------------------------------------------------

Txn::AttrRead* Txn::find(Ino ino) {
  for (auto& read : attrs_)
    if (read.ino == ino) return &read;
  return nullptr;
}

const Txn::EntryRead* Txn::find(Ino parent, std::string_view name) const {
  for (auto& read : entries_)
    if (read.parent == parent && read.name == name) return &read;
  return nullptr;
}

/// What to load instead once the name is known: its inode, or nothing.
std::optional<Key> Txn::without_name(const ChildKey& key) const {
  auto* name = find(key.parent, key.name);
  if (!name) return key;
  return name->seen ? std::optional<Key>(AttrKey{name->seen->ino}) : std::nullopt;
}

bool Txn::known(const Key& key) const {
  if (auto* k = std::get_if<AttrKey>(&key)) return find(k->ino) != nullptr;
  if (auto* k = std::get_if<EntryKey>(&key)) return find(k->parent, k->name) != nullptr;
  return std::any_of(others_.begin(), others_.end(), [&](const OtherRead& o) { return o.key == key; });
}

bool Txn::take_from_cache(const Key& key, bool certain) {
  auto& cache = client_.cache();
  if (auto* k = std::get_if<AttrKey>(&key)) {
    auto attr = cache.guess_attr(k->ino);
    if (!attr || (certain && !attr->certain)) return false;
    believed_cache_ |= !attr->certain;
    attrs_.push_back({k->ino, attr->value, attr->value});
    return true;
  }
  if (auto* k = std::get_if<EntryKey>(&key)) {
    auto entry = cache.guess_entry(k->parent, k->name);
    if (!entry || (certain && !entry->certain)) return false;
    believed_cache_ |= !entry->certain;
    entries_.push_back({k->parent, k->name, entry->value});
    return true;
  }
  if (auto* k = std::get_if<ChunkKey>(&key)) {
    auto slices = cache.slices(k->ino, k->index);
    if (slices) others_.push_back({key, *slices});
    return slices != nullptr;
  }
  if (auto* k = std::get_if<SymlinkKey>(&key)) {
    auto target = cache.symlink(k->ino);
    if (target) others_.push_back({key, *target});
    return target.has_value();
  }
  if (auto* k = std::get_if<XattrsKey>(&key)) {
    auto all = cache.xattrs(k->ino);
    if (all) others_.push_back({key, *all});
    return all != nullptr;
  }
  return false;
}

void Txn::remember(const Key& key, Record record) {
  if (auto* k = std::get_if<AttrKey>(&key)) {
    auto* attr = std::get_if<Attr>(&record);
    auto value = attr ? std::optional(*attr) : std::nullopt;
    attrs_.push_back({k->ino, value, value});
  } else if (auto* e = std::get_if<EntryKey>(&key)) {
    auto* entry = std::get_if<Entry>(&record);
    entries_.push_back({e->parent, e->name, entry ? std::optional(*entry) : std::nullopt});
  } else if (auto* child = std::get_if<ChildKey>(&key)) {
    auto* name = find(child->parent, child->name);
    if (name && name->seen && !find(name->seen->ino)) remember(AttrKey{name->seen->ino}, std::move(record));
  } else {
    others_.push_back({key, std::move(record)});
  }
}

Async<void> Txn::load(Key key) {
  Keys keys;
  keys.push_back(std::move(key));
  co_return co_await load(std::move(keys));
}

Async<void> Txn::load(Keys keys) { return load(std::move(keys), false); }

Async<void> Txn::load_certain(Keys keys) { return load(std::move(keys), true); }

Async<void> Txn::load(Keys keys, bool certain) {
  // Asked before anything is read from the cache: what it then holds was true during this call.
  bool coherent = !fresh_ && client_.engine().coherent();
  Keys missing;
  for (auto& key : keys) {
    if (auto* child = std::get_if<ChildKey>(&key)) {
      auto instead = without_name(*child);
      if (!instead) continue;
      key = std::move(*instead);
    }
    if (known(key) || std::find(missing.begin(), missing.end(), key) != missing.end()) continue;
    if (!fresh_ && (coherent || !certain) && take_from_cache(key, certain)) {
      believed_cache_ |= !coherent;
      continue;
    }
    missing.push_back(std::move(key));
  }
  if (missing.empty()) co_return done();
  CO_TRY(auto records, co_await client_.fetch(missing));
  for (std::size_t i = 0; i < missing.size(); ++i) remember(missing[i], std::move(records[i]));
  co_return done();
}

const Attr* Txn::attr(Ino ino) const {
  auto* read = find(ino);
  assert(read && "loaded before it is read");
  return read && read->now ? &*read->now : nullptr;
}

const Entry* Txn::entry(Ino parent, std::string_view name) const {
  auto* read = find(parent, name);
  assert(read && "loaded before it is read");
  return read && read->seen ? &*read->seen : nullptr;
}

const Record& Txn::record(const Key& key) const {
  for (auto& read : others_)
    if (read.key == key) return read.seen;
  assert(false && "loaded before it is read");
  static const Record absent;
  return absent;
}

// ---- checks and writes --------------------------------------------------------------------------------------------

void Txn::check_attr(Ino ino, std::uint32_t fields) {
  auto* read = find(ino);
  assert(read);
  read->checked |= fields;
}

void Txn::check_entry(Ino parent, std::string_view name) {
  for (auto& read : entries_)
    if (read.parent == parent && read.name == name) read.checked = true;
}

void Txn::check(const Key& key) { checks_.push_back(Unchanged{key, record(key)}); }

void Txn::patch(Ino ino, std::uint32_t set, const Attr& to, std::int32_t add_nlink) {
  auto* read = find(ino);
  assert(read && read->now);
  // `to` may be the very attribute we change.
  PatchAttr change{ino, set, to, add_nlink};
  meta::patch(*read->now, change);
  read->set |= set;
  read->add_nlink += add_nlink;
}

bool Txn::writes_nothing() const {
  return writes_.empty() &&
         std::none_of(attrs_.begin(), attrs_.end(), [](const AttrRead& a) { return a.set != 0 || a.add_nlink != 0; });
}

Keys Txn::loaded() const {
  Keys keys;
  for (auto& read : attrs_) keys.push_back(AttrKey{read.ino});
  for (auto& read : entries_) keys.push_back(EntryKey{read.parent, read.name});
  for (auto& read : others_) keys.push_back(read.key);
  return keys;
}

Commit Txn::build() {
  Commit commit;
  for (auto& read : attrs_) {
    if (read.checked != 0) {
      if (read.seen)
        commit.checks.push_back(AttrUnchanged{read.ino, *read.seen, read.checked});
      else
        commit.checks.push_back(AttrAbsent{read.ino});
    }
    if (read.set != 0 || read.add_nlink != 0)
      commit.writes.push_back(PatchAttr{read.ino, read.set, *read.now, read.add_nlink});
  }
  for (auto& read : entries_) {
    if (!read.checked) continue;
    commit.checks.push_back(
        Unchanged{EntryKey{read.parent, std::move(read.name)}, read.seen ? Record(*read.seen) : Record()});
  }
  std::move(checks_.begin(), checks_.end(), std::back_inserter(commit.checks));
  for (auto& required : required_) commit.checks.push_back(std::move(required.first));
  // A missing DirStat is counted from the entries: after they changed.
  for (bool stats : {false, true})
    for (auto& write : writes_)
      if (std::holds_alternative<AddDirStat>(write) == stats) commit.writes.push_back(std::move(write));
  return commit;
}

Async<Txn::Verdict> Txn::commit() {
  auto commit = build();
  auto first_required = commit.checks.size() - required_.size();
  CO_TRY(auto outcome, co_await client_.commit(std::move(commit)));
  if (outcome.applied) {
    if (returned_) *returned_ = std::move(outcome.returned);
    co_return Verdict::applied;
  }
  auto only_required =
      !outcome.failed.empty() && std::all_of(outcome.failed.begin(), outcome.failed.end(), [&](std::size_t i) {
        return i >= first_required && i < first_required + required_.size();
      });
  if (only_required) co_return posix(required_[outcome.failed.front() - first_required].second);
  co_return Verdict::differs;
}

// ---- retrying -----------------------------------------------------------------------------------------------------

Async<void> Retries::prepare(Txn& txn) {
  if (keys_.empty()) co_return done();
  co_return co_await txn.load(std::move(keys_));
}

Async<Retries::Next> Retries::conclude(Txn& txn, std::error_code failed) {
  if (failed || txn.writes_nothing()) {
    if (!txn.believed_cache()) co_return Next::answer;
    co_return co_await another(txn, false);
  }
  auto keys = txn.loaded();
  CO_TRY(auto verdict, co_await txn.commit());
  if (verdict == Txn::Verdict::applied) co_return Next::answer;
  keys_ = std::move(keys);
  co_return co_await another(txn, true);
}

namespace {

/// Waits a random time below 1, 4, 9 ... 100 ms. ECANCELED when cancelled meanwhile.
Async<void> back_off(int tries) {
  thread_local std::minstd_rand random(std::random_device{}());
  auto most = std::min(tries * tries, 100) * 1000;
  auto wait = std::chrono::microseconds(std::uniform_int_distribution<int>(0, most)(random));
  try {
    co_await sleep_for(wait);
  } catch (const boost::system::system_error&) {
    co_return posix(ECANCELED);
  }
  co_return done();
}

}  // namespace

Async<Retries::Next> Retries::another(Txn& txn, bool wait) {
  static auto& restarts = metrics::all().transaction_restart.with({"commit"});
  restarts.add();
  if (keys_.empty()) keys_ = txn.loaded();
  if (++tries_ >= kTries) {
    log::warn("meta.txn.gave_up", {{"tries", tries_}});
    co_return posix(EAGAIN);
  }
  // The first conflict is mostly our own stale cache: no wait.
  if (wait && tries_ > 1) CO_CHECK(co_await back_off(tries_ - 1));
  co_return Next::again;
}

}  // namespace kiseki::meta
