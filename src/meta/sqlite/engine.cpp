#include "meta/sqlite/engine.hpp"

#include "core/log.hpp"
#include "meta/sqlite/readers.hpp"
#include "meta/sqlite/schema.hpp"
#include "meta/sqlite/tables.hpp"
#include "meta/sqlite/writer.hpp"

namespace kiseki::meta::sqlite {

Engine::~Engine() { stop(); }

void Engine::stop() {
  if (readers_) readers_->stop();
  if (writer_) writer_->stop();
}

asio::awaitable<void> Engine::close() {
  auto stopped = co_await run_blocking(pool_, [this] {
    stop();
    return Result<void>();
  });
  static_cast<void>(stopped);
}

bool Engine::coherent() const noexcept { return coherence_->coherent(); }
void Engine::observe(ChangeObserver* observer) noexcept { coherence_->observe(observer); }

Async<void> Engine::prepare() {
  return run_blocking(pool_, [this]() -> Result<void> {
    try {
      Connection db(location_.path, SQLITE_OPEN_READWRITE, location_.prefix);
      sqlite3_busy_timeout(db.handle(), static_cast<int>(location_.patience.count()));
      make_schema(db);
      return {};
    } catch (const SqlError& error) {
      log::error("meta.sqlite.prepare", {{"code", error.code}, {"error", error.message}});
      return to_error(error.code);
    }
  });
}

// ---- reading ----------------------------------------------------------------------------------------------------

template <class T>
Async<T> Engine::read(std::function<T(Connection&)> job) {
  std::optional<T> out;
  Readers::Pending pending;
  pending.job = [&out, &job](Connection& db) { out.emplace(job(db)); };
  co_await pending.caller.wait([this, &pending] { readers_->enqueue(pending); });
  if (pending.error) co_return pending.error;
  co_return std::move(*out);
}

Async<Records> Engine::fetch(Keys keys) {
  return read<Records>([keys = std::move(keys)](Connection& db) {
    Records records;
    records.reserve(keys.size());
    for (auto& key : keys) records.push_back(sqlite::read(db, key));
    return records;
  });
}

Async<EntryPage> Engine::scan_entries(Ino dir, std::string cursor, std::size_t limit, bool with_attrs) {
  return read<EntryPage>([=, cursor = std::move(cursor)](Connection& db) {
    return sqlite::scan_entries(db, dir, cursor, limit, with_attrs);
  });
}
Async<std::vector<StoredChunk>> Engine::scan_chunks(Ino ino, std::uint64_t) {
  return read<std::vector<StoredChunk>>([=](Connection& db) { return sqlite::scan_chunks(db, ino); });
}
Async<std::vector<ChunkIndex>> Engine::find_chunks(Ino ino, ChunkIndex first, ChunkIndex end) {
  return read<std::vector<ChunkIndex>>([=](Connection& db) { return sqlite::find_chunks(db, ino, first, end); });
}
Async<std::vector<std::pair<SessionId, Session>>> Engine::scan_sessions() {
  return read<std::vector<std::pair<SessionId, Session>>>(&sqlite::scan_sessions);
}
Async<SessionLocks> Engine::scan_locks(SessionId sid) {
  return read<SessionLocks>([=](Connection& db) { return sqlite::scan_locks(db, sid); });
}
Async<std::vector<DeletedFile>> Engine::scan_deleted_files(std::int64_t removed_before, std::size_t limit) {
  return read<std::vector<DeletedFile>>(
      [=](Connection& db) { return sqlite::scan_deleted_files(db, removed_before, limit); });
}
Async<std::vector<std::pair<SliceId, SliceRef>>> Engine::scan_dead_slices(std::size_t limit) {
  return read<std::vector<std::pair<SliceId, SliceRef>>>(
      [=](Connection& db) { return sqlite::scan_dead_slices(db, limit); });
}
Async<std::vector<DelayedSlices>> Engine::scan_delayed_slices(std::int64_t replaced_before, std::size_t limit) {
  return read<std::vector<DelayedSlices>>(
      [=](Connection& db) { return sqlite::scan_delayed_slices(db, replaced_before, limit); });
}
Async<std::vector<std::pair<QuotaKey, Quota>>> Engine::scan_quotas() {
  return read<std::vector<std::pair<QuotaKey, Quota>>>(&sqlite::scan_quotas);
}
Async<std::vector<std::pair<std::uint32_t, AclRule>>> Engine::scan_acls() {
  return read<std::vector<std::pair<std::uint32_t, AclRule>>>(&sqlite::scan_acls);
}

// ---- writing ----------------------------------------------------------------------------------------------------

namespace {

/// A commit that only asks: no need of the write lock.
Outcome verify(Connection& db, const Commit& commit) {
  Outcome outcome;
  for (std::size_t i = 0; i < commit.checks.size(); ++i)
    if (!holds(db, commit.checks[i])) outcome.failed.push_back(i);
  outcome.applied = outcome.failed.empty();
  return outcome;
}

}  // namespace

Async<Outcome> Engine::commit(Commit commit) {
  if (commit.writes.empty()) {
    auto asked = read<Outcome>([commit = std::move(commit)](Connection& db) { return verify(db, commit); });
    co_return co_await std::move(asked);
  }
  if (!writer_) co_return posix(EROFS);
  Writer::Pending pending;
  pending.commit = std::move(commit);
  co_await pending.caller.wait([this, &pending] { writer_->enqueue(pending); });
  co_return std::move(pending.result);
}

// ---- opening ----------------------------------------------------------------------------------------------------

Engine::Engine(const Location& location, BlockingPool& pool)
    : location_(location), pool_(pool), coherence_(std::make_unique<Coherence>()) {}

}  // namespace kiseki::meta::sqlite
