#include "meta/ops/common.hpp"

namespace kiseki::meta {

using namespace op;

namespace {

/// The new slice is nobody's: a record with no references lets it be deleted, now or by the hourly job.
Async<void> give_back(Client& client, Slice slice) {
  if (slice.id.value == 0) co_return done();
  Commit commit;
  commit.writes.push_back(AddSliceRef{slice.id, slice.size, 0, true});
  CO_TRY(auto outcome, co_await client.commit(std::move(commit)));
  if (!outcome.applied) co_return posix(EIO);
  if (client.reaper()) client.reaper()->slices_released({{slice.id, slice.size}});
  co_return done();
}

}  // namespace

Async<void> compacted(Client& client, Ino ino, ChunkIndex index, Slices seen, std::uint32_t first, std::uint32_t count,
                      Slice with) {
  if (first > seen.size() || count > seen.size() - first) co_return posix(EINVAL);
  ChunkKey key{ino, index};
  std::vector<DelayedSlice> old;
  for (auto i = first; i < first + count; ++i)
    if (seen[i].id.value != 0) old.push_back({seen[i].id, seen[i].size});

  Commit commit;
  seen.resize(first + count);
  commit.checks.push_back(SlicesBeginWith{key, std::move(seen)});
  Slices replacement;
  if (with.len > 0) replacement.push_back(with);
  commit.writes.push_back(ReplaceSlices{key, first, count, std::move(replacement)});
  if (with.id.value != 0) commit.writes.push_back(AddSliceRef{with.id, with.size, 1, true});
  bool delayed = client.format()->has_trash() && with.id.value != 0;
  if (delayed && !old.empty()) commit.writes.push_back(PutDelayedSlices{with.id, client.clock().now().sec, old});
  if (!delayed) {
    for (auto& slice : old) commit.writes.push_back(AddSliceRef{slice.id, slice.size, -1});
    // JuiceFS copies what it read of a list while watching the inode alone: it must see that its slices went.
    commit.writes.push_back(PatchAttr{ino, 0, {}, 0, false});
  }

  CO_TRY(auto outcome, co_await client.commit(std::move(commit)));
  if (!outcome.applied) {
    CO_CHECK(co_await give_back(client, with));
    co_return posix(ESTALE);
  }
  if (delayed || !client.reaper()) co_return done();
  std::vector<DelayedSlice> released;
  auto at = with.id.value != 0 ? std::size_t{1} : 0;
  for (auto& slice : old)
    if (at < outcome.returned.size() && outcome.returned[at++] <= 0) released.push_back(slice);
  if (!released.empty()) client.reaper()->slices_released(std::move(released));
  co_return done();
}

}  // namespace kiseki::meta
