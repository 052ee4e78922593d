// What follows the last name of an inode: the last close, and the deletion of its data.
#include "meta/ops/release.hpp"

#include <map>

#include "meta/ops/common.hpp"

namespace kiseki::meta {

using namespace op;

namespace op {

Async<Taken> release_in(Txn& txn, SessionId sid, Ino ino) {
  CO_CHECK(co_await txn.load(AttrKey{ino}));
  Taken taken{{ino, Attr()}, false};
  txn.write(EraseSustained{sid, ino});
  txn.check_attr(ino, kType | kNlink | kLength | kUid | kGid);
  auto* found = txn.attr(ino);
  if (!found || found->nlink > 0) co_return taken;  // gone already, or it got a name again
  auto attr = *found;
  auto space = weight_of(attr).space;
  txn.write(EraseAttr{ino});
  txn.write(EraseXattrs{ino});
  txn.write(PutDeletedFile{ino, attr.length, txn.client().clock().now().sec});
  count_in_volume(txn, -space, -1);
  CO_CHECK(count_for_owner(txn, attr.uid, attr.gid, -space, -1));
  taken.removed.attr = attr;
  taken.removed.data_released = taken.file_released = true;
  co_return taken;
}

}  // namespace op

namespace {

Async<void> need_still_dead(Txn& txn, SessionId sid, const Session& dead) {
  SessionKey key{sid};
  CO_CHECK(co_await txn.load(Key(key)));
  auto* now = txn.get<Session>(key);
  if (!now || !(*now == dead)) co_return posix(ECANCELED);
  txn.check(Key(key));
  co_return done();
}

}  // namespace

Async<std::optional<Attr>> release_sustained_of(Client& client, SessionId sid, Ino ino, std::optional<Session> dead) {
  CO_TRY(auto taken, co_await transact<Taken>(client, [&](Txn& txn) -> Async<Taken> {
           if (dead) CO_CHECK(co_await need_still_dead(txn, sid, *dead));
           co_return co_await release_in(txn, sid, ino);
         }));
  tell_reaper(client, taken);
  co_return taken.file_released ? std::optional(taken.removed.attr) : std::nullopt;
}

Async<Held> sustain_again(Client& client, Ino ino) {
  co_return co_await transact<Held>(client, [&](Txn& txn) -> Async<Held> {
    CO_CHECK(co_await txn.load(AttrKey{ino}));
    auto* attr = txn.attr(ino);
    if (!attr) co_return Held::gone;
    if (attr->nlink > 0) co_return Held::yes;  // it has got a name again
    txn.check_attr(ino, kType | kNlink);
    txn.write(PutSustained{client.session(), ino});
    co_return Held::yes;
  });
}

Async<std::optional<Attr>> release_sustained(Client& client, Ino ino) {
  return release_sustained_of(client, client.session(), ino);
}

namespace {

/// One chunk: its references drop in the commit that erases it, with the last one the file's deletion record. Answers
/// the slices nobody uses any more.
Async<std::vector<DelayedSlice>> delete_chunk(Client& client, DeletedFile file, StoredChunk chunk, bool last) {
  Ino ino = file.ino;
  std::map<SliceId, std::pair<std::uint32_t, std::int64_t>> used;  // size, records
  for (auto& slice : chunk.slices) {
    if (slice.id.value == 0) continue;
    auto& [size, records] = used[slice.id];
    size = slice.size;
    ++records;
  }
  Commit commit;
  ChunkKey key{ino, chunk.index};
  commit.checks.push_back(AttrAbsent{ino});
  commit.checks.push_back(SlicesBeginWith{key, chunk.slices});
  for (auto& [id, use] : used) commit.writes.push_back(AddSliceRef{id, use.first, -use.second});
  commit.writes.push_back(EraseChunk{key});
  if (last) commit.writes.push_back(EraseDeletedFile{ino, file.length});
  CO_TRY(auto outcome, co_await client.commit(std::move(commit)));
  std::vector<DelayedSlice> released;
  if (!outcome.applied) co_return posix(EAGAIN);
  std::size_t i = 0;
  for (auto& [id, use] : used)
    if (i < outcome.returned.size() && outcome.returned[i++] <= 0) released.push_back({id, use.first});
  co_return released;
}

}  // namespace

Async<void> delete_file_data(Client& client, Ino ino, std::uint64_t length) {
  // By what is stored, not by the length: records may stand beyond the end of a file that was cut.
  CO_TRY(auto chunks, co_await client.engine().scan_chunks(ino, length));
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    CO_TRY(auto released, co_await delete_chunk(client, {ino, length}, std::move(chunks[i]), i + 1 == chunks.size()));
    if (!released.empty() && client.reaper()) client.reaper()->slices_released(std::move(released));
  }
  if (!chunks.empty()) co_return done();
  Commit commit;
  commit.checks.push_back(AttrAbsent{ino});
  commit.writes.push_back(EraseDeletedFile{ino, length});
  CO_TRY(auto outcome, co_await client.commit(std::move(commit)));
  if (!outcome.applied) co_return posix(EAGAIN);
  co_return done();
}

Async<void> forget_slice(Client& client, SliceId id, std::uint32_t size) {
  Keys keys{SliceRefKey{id, size}};
  CO_TRY(auto records, co_await client.fetch(keys));
  auto* ref = std::get_if<SliceRef>(&records[0]);
  if (!ref || ref->refs > 0) co_return done();  // a copy took it up again meanwhile: nothing to forget
  Commit commit;
  commit.checks.push_back(Unchanged{keys[0], records[0]});
  commit.writes.push_back(EraseSliceRef{id, size});
  CO_TRY(auto outcome, co_await client.commit(std::move(commit)));
  if (!outcome.applied) co_return posix(EAGAIN);
  co_return done();
}

}  // namespace kiseki::meta
