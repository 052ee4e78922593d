#include "meta/ops/common.hpp"

namespace kiseki::meta {

using namespace op;

namespace {

Async<Attr> write_in(Txn& txn, ChunkKey chunk, Slice slice, Timestamp mtime, std::vector<std::int64_t>& returned) {
  CO_CHECK(co_await txn.load(AttrKey{chunk.ino}));
  auto* attr = txn.attr(chunk.ino);
  if (!attr) co_return posix(ENOENT);
  if (!attr->is_file()) co_return posix(EINVAL);
  txn.check_attr(chunk.ino, kType);
  auto end = chunk.index.value * kChunkBytes + slice.pos + slice.len;
  auto length = std::max(attr->length, end);
  txn.write(AppendSlices{chunk, {slice}});
  if (slice.id.value != 0) txn.write(AddSliceRef{slice.id, slice.size, 1});
  CO_CHECK(co_await count_length(txn, chunk.ino, length));
  Attr to;
  to.length = length;
  to.mtime = mtime;
  to.ctime = txn.client().clock().now();
  txn.patch(chunk.ino, kLength | kMtime | kCtime, to);
  txn.returned_to(returned);
  co_return *txn.attr(chunk.ino);
}

}  // namespace

Async<WrittenSlice> write_slice(Client& client, Ino ino, ChunkIndex index, Slice slice, Timestamp mtime) {
  if (slice.len == 0 || std::uint64_t{slice.pos} + slice.len > kChunkBytes) co_return posix(EINVAL);
  std::vector<std::int64_t> returned;
  CO_TRY(auto attr, co_await transact<Attr>(client, [&](Txn& txn) -> Async<Attr> {
           co_return co_await write_in(txn, ChunkKey{ino, index}, slice, mtime, returned);
         }));
  if (returned.empty()) co_return posix(EIO);
  co_return WrittenSlice{static_cast<std::uint32_t>(returned[0]), attr};
}

Async<Slices> read_slices(Client& client, Ino ino, ChunkIndex index) {
  if (auto slices = client.cached_slices(ino, index)) co_return *slices;
  Keys keys{ChunkKey{ino, index}};
  CO_TRY(auto records, co_await client.fetch(std::move(keys)));
  auto* slices = std::get_if<Slices>(&records[0]);
  co_return slices ? std::move(*slices) : Slices();
}

}  // namespace kiseki::meta
