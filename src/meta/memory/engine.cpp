#include "meta/memory/engine.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace kiseki::meta {

asio::awaitable<void> MemoryEngine::pause() const {
  if (!options_.post) co_return;
  auto here = co_await asio::this_coro::executor;
  co_await asio::post(here, asio::use_awaitable);
}

template <class T, class F>
Async<T> MemoryEngine::locked(F read) {
  co_await pause();
  std::lock_guard lock(mutex_);
  co_return Result<T>(read());
}

Async<Records> MemoryEngine::fetch(Keys keys) {
  return locked<Records>([this, keys = std::move(keys)] {
    Records records;
    records.reserve(keys.size());
    for (auto& key : keys) records.push_back(tables_.read(key));
    return records;
  });
}

Async<Outcome> MemoryEngine::commit(Commit commit) {
  return locked<Outcome>([this, commit = std::move(commit)] {
    auto outcome = tables_.apply(commit);
    if (outcome.applied && !commit.writes.empty() && observer_) observer_->committed(commit, outcome);
    return outcome;
  });
}

Async<EntryPage> MemoryEngine::scan_entries(Ino dir, std::string cursor, std::size_t limit, bool with_attrs) {
  return locked<EntryPage>(
      [=, this, cursor = std::move(cursor)] { return tables_.entries(dir, cursor, limit, with_attrs); });
}
Async<std::vector<ChunkIndex>> MemoryEngine::find_chunks(Ino ino, ChunkIndex first, ChunkIndex end) {
  return locked<std::vector<ChunkIndex>>([=, this] { return tables_.chunks_within(ino, first, end); });
}
Async<std::vector<StoredChunk>> MemoryEngine::scan_chunks(Ino ino, std::uint64_t) {
  return locked<std::vector<StoredChunk>>([=, this] { return tables_.chunks(ino); });
}
Async<std::vector<std::pair<SessionId, Session>>> MemoryEngine::scan_sessions() {
  return locked<std::vector<std::pair<SessionId, Session>>>([this] { return tables_.sessions(); });
}
Async<SessionLocks> MemoryEngine::scan_locks(SessionId sid) {
  return locked<SessionLocks>([=, this] { return tables_.locks(sid); });
}
Async<std::vector<DeletedFile>> MemoryEngine::scan_deleted_files(std::int64_t removed_before, std::size_t limit) {
  return locked<std::vector<DeletedFile>>([=, this] { return tables_.deleted_files(removed_before, limit); });
}
Async<std::vector<std::pair<SliceId, SliceRef>>> MemoryEngine::scan_dead_slices(std::size_t limit) {
  return locked<std::vector<std::pair<SliceId, SliceRef>>>([=, this] { return tables_.dead_slices(limit); });
}
Async<std::vector<DelayedSlices>> MemoryEngine::scan_delayed_slices(std::int64_t replaced_before, std::size_t limit) {
  return locked<std::vector<DelayedSlices>>([=, this] { return tables_.delayed_slices(replaced_before, limit); });
}
Async<std::vector<std::pair<QuotaKey, Quota>>> MemoryEngine::scan_quotas() {
  return locked<std::vector<std::pair<QuotaKey, Quota>>>([this] { return tables_.quotas(); });
}
Async<std::vector<std::pair<std::uint32_t, AclRule>>> MemoryEngine::scan_acls() {
  return locked<std::vector<std::pair<std::uint32_t, AclRule>>>([this] { return tables_.acls(); });
}

}  // namespace kiseki::meta
