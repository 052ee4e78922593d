#include "meta/ops/common.hpp"

namespace kiseki::meta {

using namespace op;

namespace {

/// The new slice is nobody's: a record with no references lets it be deleted, now or by the hourly job.
Async<void> give_back(Client& client, DelayedSlice slice) {
  if (slice.size == 0) co_return done();
  Commit commit;
  commit.writes.push_back(AddSliceRef{slice.id, slice.size, 0, true});
  CO_TRY(auto outcome, co_await client.commit(std::move(commit)));
  if (!outcome.applied) co_return posix(EIO);
  if (client.reaper()) client.reaper()->slices_released({slice});
  co_return done();
}

}  // namespace

// One reference per record, of the new slice as of the old ones: JuiceFS counts so.
Async<void> compacted(Client& client, Ino ino, ChunkIndex index, Slices seen, std::uint32_t first, std::uint32_t count,
                      CompactedSlice with) {
  if (first > seen.size() || count > seen.size() - first) co_return posix(EINVAL);
  ChunkKey key{ino, index};
  std::vector<DelayedSlice> old;
  for (auto i = first; i < first + count; ++i)
    if (seen[i].id.value != 0) old.push_back({seen[i].id, seen[i].size});
  auto made = static_cast<std::int64_t>(with.records.size());

  Commit commit;
  seen.resize(first + count);
  commit.checks.push_back(SlicesBeginWith{key, std::move(seen)});
  commit.writes.push_back(ReplaceSlices{key, first, count, std::move(with.records)});
  if (made > 0) commit.writes.push_back(AddSliceRef{with.id, with.size, made, true});
  bool delayed = client.format()->has_trash();
  if (delayed && !old.empty()) commit.writes.push_back(PutDelayedSlices{with.id, client.clock().now().sec, old});
  if (!delayed) {
    for (auto& slice : old) commit.writes.push_back(AddSliceRef{slice.id, slice.size, -1});
    // JuiceFS copies what it read of a list while watching the inode alone: it must see that its slices went.
    commit.writes.push_back(PatchAttr{ino, 0, {}, 0, false});
  }

  CO_TRY(auto outcome, co_await client.commit(std::move(commit)));
  if (!outcome.applied) {
    CO_CHECK(co_await give_back(client, {with.id, with.size}));
    co_return posix(ESTALE);
  }
  if (delayed || !client.reaper()) co_return done();
  std::vector<DelayedSlice> released;
  auto at = made > 0 ? std::size_t{1} : 0;
  for (auto& slice : old)
    if (at < outcome.returned.size() && outcome.returned[at++] <= 0) released.push_back(slice);
  if (!released.empty()) client.reaper()->slices_released(std::move(released));
  co_return done();
}

}  // namespace kiseki::meta
