#include "meta/sqlite/row.hpp"
#include "meta/sqlite/tables.hpp"

namespace kiseki::meta::sqlite {
namespace {

std::int64_t limit_of(std::size_t limit) {
  return limit > static_cast<std::size_t>(INT64_MAX) - 1 ? INT64_MAX : static_cast<std::int64_t>(limit);
}

}  // namespace

EntryPage scan_entries(Connection& db, Ino dir, const std::string& cursor, std::size_t limit, bool with_attrs) {
  EntryPage page;
  auto run = db.run(Sql::scan_entries);
  run.id(dir.value).blob(cursor).integer(limit_of(limit + 1));  // one more, to know whether this is the last page
  while (run.step()) {
    if (page.entries.size() == limit) {
      page.next = limit == 0 ? cursor : page.entries.back().name;
      break;
    }
    page.entries.push_back({std::string(run.bytes_at(0)), {ino_at(run, 1), type_at(run, 2)}, std::nullopt});
  }
  if (with_attrs)
    for (auto& listed : page.entries) listed.attr = read_attr(db, listed.entry.ino);
  return page;
}

std::vector<StoredChunk> scan_chunks(Connection& db, Ino ino) {
  std::vector<StoredChunk> all;
  auto run = db.run(Sql::scan_chunks);
  for (run.id(ino.value); run.step();) all.push_back({ChunkIndex{run.u32_at(0)}, slices_at(run, 1)});
  return all;
}

std::vector<ChunkIndex> find_chunks(Connection& db, Ino ino, ChunkIndex first, ChunkIndex end) {
  std::vector<ChunkIndex> all;
  auto run = db.run(Sql::find_chunks);
  for (run.id(ino.value).integer(first.value).integer(end.value); run.step();) all.push_back(ChunkIndex{run.u32_at(0)});
  return all;
}

std::vector<std::pair<SessionId, Session>> scan_sessions(Connection& db) {
  std::vector<std::pair<SessionId, Session>> all;
  auto run = db.run(Sql::scan_sessions);
  while (run.step()) all.emplace_back(sid_at(run, 0), Session{run.integer_at(1), std::string(run.bytes_at(2))});
  return all;
}

SessionLocks scan_locks(Connection& db, SessionId sid) {
  SessionLocks all;
  auto sustained = db.run(Sql::scan_sustained);
  for (sustained.id(sid.value); sustained.step();) all.sustained.push_back(ino_at(sustained, 0));
  auto flocks = db.run(Sql::scan_flocks);
  for (flocks.id(sid.value); flocks.step();)
    all.file_locks.emplace_back(ino_at(flocks, 0), FileLock{sid, flocks.id_at(1), exclusive_at(flocks, 2)});
  auto plocks = db.run(Sql::scan_plocks);
  for (plocks.id(sid.value); plocks.step();)
    all.range_locks.emplace_back(ino_at(plocks, 0), RangeLocks{sid, plocks.id_at(1), ranges_at(plocks, 2)});
  return all;
}

std::vector<DeletedFile> scan_deleted_files(Connection& db, std::int64_t removed_before, std::size_t limit) {
  std::vector<DeletedFile> all;
  auto run = db.run(Sql::scan_deleted);
  run.integer(removed_before).integer(limit_of(limit));
  while (run.step()) all.push_back({ino_at(run, 0), run.id_at(1), run.integer_at(2)});
  return all;
}

std::vector<std::pair<SliceId, SliceRef>> scan_dead_slices(Connection& db, std::size_t limit) {
  std::vector<std::pair<SliceId, SliceRef>> all;
  auto run = db.run(Sql::scan_dead_slices);
  for (run.integer(limit_of(limit)); run.step();)
    all.emplace_back(SliceId{run.id_at(0)}, SliceRef{run.u32_at(1), run.integer_at(2)});
  return all;
}

std::vector<DelayedSlices> scan_delayed_slices(Connection& db, std::int64_t replaced_before, std::size_t limit) {
  std::vector<DelayedSlices> all;
  auto run = db.run(Sql::scan_delayed);
  run.integer(replaced_before).integer(limit_of(limit));
  while (run.step())
    all.push_back(
        {SliceId{run.id_at(0)}, run.integer_at(1), whole(codec::decode_delayed(run.bytes_at(2)), "delslices.slices")});
  return all;
}

std::vector<std::pair<QuotaKey, Quota>> scan_quotas(Connection& db) {
  std::vector<std::pair<QuotaKey, Quota>> all;
  auto dirs = db.run(Sql::scan_dir_quotas);
  while (dirs.step()) all.emplace_back(QuotaKey{QuotaKind::directory, dirs.id_at(0)}, quota_at(dirs, 1));
  auto ids = db.run(Sql::scan_id_quotas);
  while (ids.step()) {
    auto kind = ids.integer_at(0);
    if (kind == 1 || kind == 2)
      all.emplace_back(QuotaKey{static_cast<QuotaKind>(kind), ids.id_at(1)}, quota_at(ids, 2));
  }
  return all;
}

std::vector<std::pair<std::uint32_t, AclRule>> scan_acls(Connection& db) {
  std::vector<std::pair<std::uint32_t, AclRule>> all;
  auto run = db.run(Sql::scan_acls);
  while (run.step()) all.emplace_back(run.u32_at(0), acl_at(run, 1));
  return all;
}

}  // namespace kiseki::meta::sqlite
