#include "meta/client.hpp"

#include <mutex>

#include "core/async.hpp"
#include "core/guard.hpp"
#include "core/metrics.hpp"
#include "meta/acl_book.hpp"
#include "meta/lock_queues.hpp"
#include "meta/trash_hour.hpp"

namespace kiseki::meta {

/// Ids taken from a counter many at a time. What is left at the end of the process is lost (as in JuiceFS).
struct Client::IdBatch {
  IdBatch(Counter c, std::int64_t n) : counter(c), size(n) {}
  const Counter counter;
  const std::int64_t size;
  Mutex refilling;
  std::mutex mutex;  // guards next, end
  std::int64_t next = 0, end = 0;

  std::optional<std::uint64_t> take() {
    std::lock_guard lock(mutex);
    while (next < end) {
      auto id = next++;
      if (id > 1 || (id == 1 && counter == Counter::next_slice)) return static_cast<std::uint64_t>(id);
    }
    return std::nullopt;
  }

  Async<std::uint64_t> get(Client& client) {
    for (;;) {
      if (auto id = take()) co_return *id;
      auto turn = co_await refilling.lock();
      if (auto id = take()) co_return *id;  // someone else refilled while we waited
      Commit commit;
      commit.writes.push_back(AddCounter{counter, size});
      CO_TRY(auto outcome, co_await client.commit(std::move(commit)));
      if (!outcome.applied || outcome.returned.size() != 1) co_return posix(EIO);
      std::lock_guard lock(mutex);
      end = outcome.returned[0];
      next = end - size;
    }
  }
};

Client::Client(std::shared_ptr<MetaEngine> engine, Format format, std::shared_ptr<const Clock> clock,
               ClientOptions options)
    : engine_(std::move(engine)),
      format_(std::make_shared<const Format>(std::move(format))),
      clock_(std::move(clock)),
      options_(options),
      cache_(options.cache_records, engine_->sequential(), options.stale_reads),
      inodes_(std::make_unique<IdBatch>(Counter::next_inode, 1024)),
      slices_(std::make_unique<IdBatch>(Counter::next_slice, 4096)),
      acls_(std::make_unique<AclBook>()),
      lock_queues_(std::make_unique<LockQueues>(cache_)),
      trash_hour_(std::make_unique<TrashHour>()) {
  engine_->observe(lock_queues_.get());
}

Client::~Client() { engine_->observe(nullptr); }

void Client::set_format(Format format) {
  std::atomic_store(&format_, std::shared_ptr<const Format>(std::make_shared<const Format>(std::move(format))));
}

std::optional<Result<InodeEntry>> Client::cached_lookup(Ino parent, std::string_view name) {
  auto view = answering();
  if (!view) return std::nullopt;
  auto entry = cache_.entry(parent, name, *view);
  if (!entry || (parent == kRootIno && name == kTrashName)) return std::nullopt;
  if (!*entry) return Result<InodeEntry>(posix(ENOENT));
  auto attr = cache_.attr((*entry)->ino, *view);
  if (!attr) return std::nullopt;
  return Result<InodeEntry>(InodeEntry{(*entry)->ino, *attr});
}

Async<Records> Client::fetch(Keys keys) {
  auto ticket = cache_.ticket();
  auto wanted = keys;
  CO_TRY(auto records, co_await engine_->fetch(std::move(wanted)));
  if (records.size() != keys.size()) co_return posix(EIO);
  install(ticket, keys, records);
  co_return records;
}

Async<Records> Client::read(Keys keys) {
  auto ticket = cache_.ticket();
  auto wanted = keys;
  auto records = co_await engine_->fetch_if_reachable(std::move(wanted));
  if (records && records->size() != keys.size()) co_return posix(EIO);
  if (records) install(ticket, keys, *records);
  if (records || records.error() != posix(EHOSTUNREACH)) co_return records;
  if (answers_stale()) {
    if (auto old = remembered(keys)) co_return *old;
  }
  co_return co_await fetch(std::move(keys));  // waits
}

void Client::install(RecordCache::Ticket ticket, const Keys& keys, const Records& records) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    auto* child = std::get_if<ChildKey>(&keys[i]);
    if (!child) {
      cache_.install(ticket, keys[i], records[i]);
      continue;
    }
    auto* entry = i > 0 ? std::get_if<Entry>(&records[i - 1]) : nullptr;
    auto* attr = std::get_if<Attr>(&records[i]);
    if (entry && attr && keys[i - 1] == Key(EntryKey{child->parent, child->name}))
      install_child(ticket, entry->ino, *attr);
  }
}

std::optional<Records> Client::remembered(const Keys& keys) {
  Records found;
  for (auto& key : keys) {
    auto record = remembered(key);
    if (!record) return std::nullopt;
    found.push_back(std::move(*record));
  }
  return found;
}

std::optional<Record> Client::remembered(const Key& key) {
  constexpr auto kView = RecordCache::View::remembered;
  if (auto* k = std::get_if<AttrKey>(&key)) return cache_.attr(k->ino, kView);
  if (auto* k = std::get_if<SymlinkKey>(&key)) return cache_.symlink(k->ino, kView);
  if (auto* k = std::get_if<EntryKey>(&key)) {
    auto entry = cache_.entry(k->parent, k->name, kView);
    if (!entry) return std::nullopt;
    return *entry ? Record(**entry) : Record();
  }
  if (auto* k = std::get_if<ChildKey>(&key)) {
    auto entry = cache_.entry(k->parent, k->name, kView);
    if (!entry) return std::nullopt;
    return *entry ? remembered(AttrKey{(*entry)->ino}) : Record();
  }
  if (auto* k = std::get_if<ChunkKey>(&key)) {
    auto slices = cache_.slices(k->ino, k->index, kView);
    return slices ? std::optional<Record>(*slices) : std::nullopt;
  }
  if (auto* k = std::get_if<XattrsKey>(&key)) {
    auto all = cache_.xattrs(k->ino, kView);
    return all ? std::optional<Record>(*all) : std::nullopt;
  }
  return std::nullopt;
}

Async<Outcome> Client::commit(Commit commit) {
  if (options_.read_only && !commit.writes.empty()) co_return posix(EROFS);
  auto announced = cache_.announce(commit);
  auto began = std::chrono::steady_clock::now();
  Guard timed([began] { metrics::all().transaction_durations.observe(std::chrono::steady_clock::now() - began); });
  co_return co_await engine_->commit(std::move(commit));
}

Async<void> Client::load_quotas(bool again) {
  if (cache_.quotas().loaded() && !again) co_return Result<void>{};
  CO_TRY(auto all, co_await engine_->scan_quotas());
  cache_.quotas().replace(std::move(all));
  co_return Result<void>{};
}

Async<Ino> Client::new_inode() {
  CO_TRY(auto id, co_await inodes_->get(*this));
  co_return Ino{id};
}

Async<SliceId> Client::new_slice_id() {
  CO_TRY(auto id, co_await slices_->get(*this));
  co_return SliceId{id};
}

}  // namespace kiseki::meta
