#include "meta/housekeeper.hpp"

#include <algorithm>
#include <map>
#include <random>

#include "core/log.hpp"
#include "core/metrics.hpp"
#include "meta/ops.hpp"
#include "meta/ops/common.hpp"
#include "meta/session.hpp"
#include "meta/trash_hour.hpp"
#include "meta/txn.hpp"

namespace kiseki::meta {

namespace {

constexpr std::size_t kBatch = 1000, kAtOnce = 16;
constexpr std::int64_t kHour = 3600, kDay = 24 * kHour;
constexpr Who kRootUser{0, 0, false};

}  // namespace

Housekeeper::Housekeeper(Client& client, asio::any_io_executor home, Options options)
    : client_(client), options_(options), tasks_(std::move(home)) {}

void Housekeeper::start() {
  if (options_.background_jobs && !client_.options().read_only) tasks_.spawn(run());
}

asio::awaitable<void> Housekeeper::close() { co_await tasks_.close(); }

asio::awaitable<void> Housekeeper::run() {
  std::minstd_rand random(std::random_device{}());
  for (;;) {
    auto percent = std::uniform_int_distribution<int>(95, 105)(random);
    co_await sleep_for(std::chrono::nanoseconds(options_.look_every) / 100 * percent);
    auto looked = co_await look();
    if (!looked) log::warn("meta.housekeeping.failed", {{"error", looked.error()}});
  }
}

bool Housekeeper::out_of_time(Timestamp began) const {
  return client_.clock().now().sec - began.sec >= options_.longest.count();
}

Async<void> Housekeeper::look() {
  struct Job {
    Counter elected;
    const char* name;
    const char* counted_as;  ///< JuiceFS's name of the job
    Async<std::size_t> (Housekeeper::*run)();
  };
  // Trash before slices: what it lets go is then found by them.
  static constexpr Job kJobs[] = {
      {Counter::last_cleanup_files, "files", "cleanupDeletedFiles", &Housekeeper::delete_removed_files},
      {Counter::last_cleanup_trash, "trash", "cleanupTrash", &Housekeeper::expire_trash},
      {Counter::last_cleanup_slices, "slices", "cleanupSlices", &Housekeeper::release_dead_slices}};
  std::error_code first;
  for (auto& job : kJobs) {
    CO_TRY(auto elected, co_await elect(client_, job.elected, options_.period));
    if (elected == Elected::no) continue;
    auto began = std::chrono::steady_clock::now();
    auto done_count = co_await (this->*job.run)();
    auto& counted = metrics::all();
    counted.bgjob_duration.with({job.counted_as, done_count ? "success" : "failed"})
        .observe(std::chrono::steady_clock::now() - began);
    if (done_count) counted.bgjob_deletions.with({job.counted_as}).add(*done_count);
    if (!done_count && !first) first = done_count.error();
    if (done_count && *done_count > 0) log::info("meta.housekeeping", {{"job", job.name}, {"count", *done_count}});
  }
  co_return first ? Result<void>(first) : done();
}

// ---- removed files and dead slices --------------------------------------------------------------------------------

Async<std::size_t> Housekeeper::delete_removed_files() {
  auto began = client_.clock().now();
  std::size_t total = 0;
  // What stays would be found again, so that it comes on top of what is asked for.
  for (std::size_t limit = kBatch;;) {
    CO_TRY(auto files, co_await client_.engine().scan_deleted_files(began.sec - kHour, limit));
    auto full = files.size() == limit;
    std::size_t deleted = 0, failed = 0;
    for (auto& file : files) {
      if (out_of_time(began)) co_return total + deleted;
      if (client_.is_open(file.ino)) continue;  // by who opened it while its last name went
      auto gone = co_await delete_file_data(client_, file.ino, file.length);
      if (gone)
        ++deleted;
      else if (gone.error() == posix(EAGAIN))
        log::debug("meta.housekeeping.file", {{"ino", file.ino.value}, {"left", "to who was faster"}});
      else {
        ++failed;
        log::warn("meta.housekeeping.file", {{"ino", file.ino.value}, {"error", gone.error()}});
      }
    }
    total += deleted;
    if (!full || failed == files.size()) co_return total;
    limit = kBatch + files.size() - deleted;
  }
}

Async<std::size_t> Housekeeper::release_dead_slices() {
  CO_TRY(auto dead, co_await client_.engine().scan_dead_slices(100 * kBatch));
  std::vector<DelayedSlice> slices;
  for (auto& [id, ref] : dead) slices.push_back({id, ref.size});
  auto count = slices.size();
  if (count > 0 && client_.reaper()) client_.reaper()->slices_released(std::move(slices));
  co_return count;
}

// ---- trash --------------------------------------------------------------------------------------------------------

struct Housekeeper::Emptied {
  std::size_t removed = 0, kept = 0;
  std::error_code why_kept{};
};

namespace {

/// What may not be removed stays, and the others go all the same: a hard link to a file that is immutable, say.
Async<void> remove_entry(Client& client, Ino hour, ListedEntry listed, Housekeeper::Emptied& tally) {
  bool is_dir = listed.entry.type == FileType::directory;
  auto gone = is_dir ? co_await rmdir(client, kRootUser, hour, listed.name, true)
                     : co_await unlink(client, kRootUser, hour, listed.name, true);
  if (gone || gone.error() == posix(ENOENT)) {
    ++tally.removed;
    co_return done();
  }
  if (gone.error() == posix(ECANCELED)) co_return gone.error();
  ++tally.kept;
  tally.why_kept = gone.error();
  co_return done();
}

/// The hourly directory itself, once it is empty.
Async<void> remove_hour(Client& client, std::string name) {
  co_return co_await transact<void>(client, [&](Txn& txn) -> Async<void> {
    CO_CHECK(co_await txn.load(EntryKey{kTrashIno, name}));
    auto* entry = txn.entry(kTrashIno, name);
    if (!entry) co_return done();
    Ino ino = entry->ino;
    txn.check_entry(kTrashIno, name);
    CO_CHECK(co_await txn.load(AttrKey{ino}));
    txn.require(DirEmpty{ino}, ENOTEMPTY);
    txn.write(EraseEntry{{kTrashIno, name}});
    txn.write(EraseDirStat{ino});
    if (!txn.attr(ino)) co_return done();
    txn.check_attr(ino, kType);
    txn.write(EraseAttr{ino});
    op::count_in_volume(txn, -4096, -1);
    co_return done();
  });
}

}  // namespace

Async<void> Housekeeper::empty_hour(Ino hour, Timestamp began, Emptied& tally) {
  std::string cursor;
  do {
    CO_TRY(auto page, co_await client_.engine().scan_entries(hour, std::move(cursor), kBatch, false));
    std::vector<Async<void>> removals;
    for (auto& listed : page.entries) removals.push_back(remove_entry(client_, hour, std::move(listed), tally));
    CO_CHECK(co_await fan_out(std::move(removals), kAtOnce));
    cursor = std::move(page.next);
  } while (!cursor.empty() && !out_of_time(began));
  co_return done();
}

Async<std::size_t> Housekeeper::expire_trash() {
  auto trash = co_await expire_trashed_entries();
  CO_TRY(auto delayed, co_await expire_delayed_slices());
  if (!trash) co_return trash.error();
  co_return *trash + delayed;
}

Async<std::size_t> Housekeeper::expire_trashed_entries() {
  auto began = client_.clock().now();
  auto days = std::max<std::int64_t>(client_.format()->trash_days, 0);
  auto oldest = began.sec - days * kDay - 2 * kHour;
  std::size_t total = 0;
  std::vector<std::pair<std::string, Ino>> hours;
  std::string cursor;
  do {
    CO_TRY(auto page, co_await client_.engine().scan_entries(kTrashIno, std::move(cursor), kBatch, false));
    for (auto& listed : page.entries) {
      auto hour = TrashHour::hour_of(listed.name);
      if (hour && *hour < oldest) hours.emplace_back(listed.name, listed.entry.ino);
    }
    cursor = std::move(page.next);
  } while (!cursor.empty());
  for (auto& [name, ino] : hours) {
    if (out_of_time(began)) break;
    Emptied tally;
    CO_CHECK(co_await empty_hour(ino, began, tally));
    total += tally.removed;
    if (tally.kept > 0) {
      log::warn("meta.housekeeping.trash", {{"hour", name}, {"kept", tally.kept}, {"error", tally.why_kept}});
      continue;
    }
    auto gone = co_await remove_hour(client_, name);
    if (!gone && gone.error() != posix(ENOTEMPTY))
      co_return gone.error();  // not empty: out of time, or somebody puts back
    total += gone.has_value();
  }
  co_return total;
}

// ---- slices that compaction replaced ------------------------------------------------------------------------------

namespace {

/// Drops the references of one compaction's slices, if nobody did meanwhile: every such drop changes their counts.
Async<std::vector<DelayedSlice>> drop_delayed(Client& client, const DelayedSlices& row,
                                              const std::map<SliceId, Record>& refs) {
  std::map<SliceId, std::pair<std::uint32_t, std::int64_t>> counts;
  for (auto& slice : row.slices) counts[slice.id].first = slice.size, ++counts[slice.id].second;
  Commit commit;
  for (auto& [id, count] : counts) {
    commit.checks.push_back(Unchanged{SliceRefKey{id, count.first}, refs.at(id)});
    commit.writes.push_back(AddSliceRef{id, count.first, -count.second});
  }
  commit.writes.push_back(EraseDelayedSlices{row.compacted, row.replaced_at});
  CO_TRY(auto outcome, co_await client.commit(std::move(commit)));
  std::vector<DelayedSlice> released;
  std::size_t i = 0;
  if (outcome.applied)
    for (auto& [id, count] : counts)
      if (i < outcome.returned.size() && outcome.returned[i++] <= 0) released.push_back({id, count.first});
  co_return released;
}

Async<std::map<SliceId, Record>> current_refs(Client& client, const std::vector<DelayedSlices>& rows) {
  std::map<SliceId, Record> refs;
  Keys keys;
  for (auto& row : rows)
    for (auto& slice : row.slices)
      if (refs.emplace(slice.id, Record()).second) keys.push_back(SliceRefKey{slice.id, slice.size});
  if (keys.empty()) co_return refs;
  CO_TRY(auto records, co_await client.fetch(keys));
  for (std::size_t i = 0; i < keys.size(); ++i) refs[std::get<SliceRefKey>(keys[i]).id] = std::move(records[i]);
  co_return refs;
}

}  // namespace

Async<std::size_t> Housekeeper::expire_delayed_slices() {
  auto began = client_.clock().now();
  auto before = began.sec - std::max<std::int64_t>(client_.format()->trash_days, 0) * kDay;
  std::size_t total = 0;
  for (;;) {
    CO_TRY(auto seen, co_await client_.engine().scan_delayed_slices(before, kBatch));
    CO_TRY(auto refs, co_await current_refs(client_, seen));
    // Only rows still there after the counts were read: then an unchanged count proves that nobody was faster.
    CO_TRY(auto rows, co_await client_.engine().scan_delayed_slices(before, kBatch));
    std::size_t handled = 0;
    for (auto& row : rows) {
      bool known =
          std::all_of(row.slices.begin(), row.slices.end(), [&](auto& slice) { return refs.contains(slice.id); });
      if (!known) continue;
      CO_TRY(auto released, co_await drop_delayed(client_, row, refs));
      ++handled;
      for (auto& slice : row.slices) {  // rows may share slices: what we changed ourselves is read again
        Keys keys{SliceRefKey{slice.id, slice.size}};
        CO_TRY(auto records, co_await client_.fetch(std::move(keys)));
        refs[slice.id] = std::move(records[0]);
      }
      if (!released.empty() && client_.reaper()) client_.reaper()->slices_released(std::move(released));
    }
    total += handled;
    if (rows.size() < kBatch || handled == 0 || out_of_time(began)) co_return total;
  }
}

}  // namespace kiseki::meta
