#include <algorithm>
#include <map>

#include "meta/op_timer.hpp"
#include "meta/ops/common.hpp"
#include "meta/ops/setattr.hpp"

namespace kiseki::meta {

using namespace op;

namespace {

/// What a batch of records does: per chunk its new records, per slice how many of them show it.
struct Batch {
  std::map<ChunkIndex, Slices> appends;
  std::map<SliceId, SliceRef> refs;
  std::uint64_t end = 0;  ///< of the furthest byte written
};

/// The records one after another from `end` on, cut where a chunk ends.
Result<std::vector<PlacedSlice>> placed_from(std::uint64_t end, const std::vector<PlacedSlice>& records) {
  std::vector<PlacedSlice> placed;
  for (auto [index, slice] : records) {
    if (end > kMaxFileBytes - slice.len) return posix(EFBIG);
    for (auto left = slice.len; left > 0;) {
      slice.pos = static_cast<std::uint32_t>(end % kChunkBytes);
      slice.len = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, kChunkBytes - slice.pos));
      placed.push_back({ChunkIndex{static_cast<std::uint32_t>(end / kChunkBytes)}, slice});
      slice.off += slice.len;
      left -= slice.len;
      end += slice.len;
    }
  }
  return placed;
}

std::uint64_t begin_of(const PlacedSlice& record) { return record.index.value * kChunkBytes + record.slice.pos; }

Result<Batch> batch_of(const std::vector<PlacedSlice>& records) {
  Batch batch;
  for (const auto& [index, slice] : records) {
    if (slice.len == 0 || std::uint64_t{slice.pos} + slice.len > kChunkBytes) return posix(EINVAL);
    batch.appends[index].push_back(slice);
    batch.end = std::max(batch.end, index.value * kChunkBytes + slice.pos + slice.len);
    if (slice.id.value == 0) continue;
    auto& ref = batch.refs[slice.id];
    ref.size = slice.size;
    ++ref.refs;
  }
  if (batch.appends.empty()) return posix(EINVAL);
  return batch;
}

/// The ctime a write leaves: its own time, as was shown while it was buffered, but never back; and some time always
/// moves, by which others see that records were added.
Timestamp ctime_after(const Attr& before, Timestamp mtime) {
  auto ctime = std::max(before.ctime, mtime);
  if (mtime != before.mtime || ctime != before.ctime) return ctime;
  return ctime.nsec == 999'999'999 ? Timestamp{ctime.sec + 1, 0} : Timestamp{ctime.sec, ctime.nsec + 1};
}

Async<Attr> write_in(Txn& txn, Ino ino, const Batch& batch, Timestamp mtime, std::vector<std::int64_t>& returned) {
  CO_CHECK(co_await txn.load(AttrKey{ino}));
  auto* attr = txn.attr(ino);
  if (!attr) co_return posix(ENOENT);
  if (!attr->is_file()) co_return posix(EINVAL);
  txn.check_attr(ino, kType);
  auto length = std::max(attr->length, batch.end);
  for (const auto& [index, slices] : batch.appends) txn.write(AppendSlices{ChunkKey{ino, index}, slices});
  for (const auto& [id, ref] : batch.refs) txn.write(AddSliceRef{id, ref.size, ref.refs, true});
  CO_CHECK(co_await count_length(txn, ino, length));
  Attr to;
  to.length = length;
  to.mtime = mtime;
  to.ctime = ctime_after(*attr, mtime);
  txn.patch(ino, kLength | kMtime | kCtime, to);
  txn.returned_to(returned);
  co_return *txn.attr(ino);
}

}  // namespace

Async<WrittenSlices> write_slices(Client& client, Ino ino, std::vector<PlacedSlice> records, Timestamp mtime,
                                  std::optional<AttrOrder> with, Placing placing) {
  OpTimer timer(OpName::write);
  std::optional<OpTimer> setting;
  if (with) setting.emplace(OpName::setattr);
  CO_TRY(auto batch, batch_of(records));
  std::vector<std::int64_t> returned;
  std::error_code refused;
  bool moved = false;
  CO_TRY(auto attr, co_await transact<Attr>(client, [&](Txn& txn) -> Async<Attr> {
           if (placing == Placing::at_end) {
             CO_CHECK(co_await txn.load(AttrKey{ino}));
             auto* before = txn.attr(ino);
             if (!before) co_return posix(ENOENT);
             CO_TRY(auto placed, placed_from(before->length, records));
             CO_TRY(batch, batch_of(placed));
             moved = begin_of(placed.front()) != begin_of(records.front());
           }
           CO_TRY(auto after, co_await write_in(txn, ino, batch, mtime, returned));
           if (!with) co_return after;
           auto set = co_await setattr_in(txn, with->who, ino, with->change);
           refused = set ? std::error_code() : set.error();
           co_return set ? *set : after;
         }));
  if (returned.size() < batch.appends.size()) co_return posix(EIO);
  WrittenSlices written;
  written.attr = attr;
  written.refused = refused;
  written.moved = moved;
  auto records_now = returned.begin();
  for (const auto& [index, slices] : batch.appends)
    written.chunks.push_back(
        {index, static_cast<std::uint32_t>(*records_now++), static_cast<std::uint32_t>(slices.size())});
  co_return written;
}

Async<WrittenSlice> write_slice(Client& client, Ino ino, ChunkIndex index, Slice slice, Timestamp mtime) {
  std::vector<PlacedSlice> one{{index, slice}};
  CO_TRY(auto written, co_await write_slices(client, ino, std::move(one), mtime));
  co_return WrittenSlice{written.chunks.front().records, written.attr};
}

Async<Slices> read_slices(Client& client, Ino ino, ChunkIndex index) {
  OpTimer timer(OpName::read);
  if (auto slices = client.cached_slices(ino, index)) co_return *slices;
  Keys keys{ChunkKey{ino, index}};
  CO_TRY(auto records, co_await client.read(std::move(keys)));
  auto* slices = std::get_if<Slices>(&records[0]);
  co_return slices ? std::move(*slices) : Slices();
}

}  // namespace kiseki::meta
