#include <algorithm>
#include <map>

#include "core/shown_slices.hpp"
#include "meta/op_timer.hpp"
#include "meta/ops/common.hpp"

namespace kiseki::meta {

using namespace op;

namespace {

struct Copy {
  Ino in;
  std::uint64_t in_offset;
  Ino out;
  std::uint64_t out_offset, length;
  bool kill_suidgid;
};

Keys source_chunks(const Copy& copy) {
  Keys keys;
  auto first = copy.in_offset / kChunkBytes, last = (copy.in_offset + copy.length - 1) / kChunkBytes;
  for (auto i = first; i <= last; ++i) keys.push_back(ChunkKey{copy.in, ChunkIndex{static_cast<std::uint32_t>(i)}});
  return keys;
}

/// What shows in bytes [begin, end) of a chunk, without gaps: holes (slice 0) where nothing was written.
Slices shown_between(const Slices& records, std::uint32_t begin, std::uint32_t end) {
  Slices pieces;
  auto hole_until = [&](std::uint32_t to) {
    if (begin < to) pieces.push_back({begin, SliceId{0}, 0, 0, to - begin});
  };
  for (auto piece : shown_slices(records)) {
    if (piece.pos >= end) break;
    auto stop = std::min(piece.pos + piece.len, end);
    if (stop <= begin) continue;
    hole_until(piece.pos);
    auto skipped = std::max(begin, piece.pos) - piece.pos;
    begin = piece.pos + skipped;
    pieces.push_back({begin, piece.id, piece.size, piece.off + skipped, stop - begin});
    begin = stop;
  }
  hole_until(end);
  return pieces;
}

/// Records for the target's chunks, in order of offset.
using Target = std::map<ChunkIndex, Slices>;

/// One visible piece of the source, `from` its offset in the file: cut where the target's chunks end.
void translate(Target& target, const Copy& copy, std::uint64_t from, Slice piece) {
  auto at = copy.out_offset + (from - copy.in_offset);
  while (piece.len > 0) {
    auto room = kChunkBytes - at % kChunkBytes;
    auto part = static_cast<std::uint32_t>(std::min<std::uint64_t>(room, piece.len));
    Slice record = piece;
    record.pos = static_cast<std::uint32_t>(at % kChunkBytes);
    record.len = part;
    if (record.id.value == 0) record.size = record.off = 0;
    target[ChunkIndex{static_cast<std::uint32_t>(at / kChunkBytes)}].push_back(record);
    at += part;
    piece.off += part;
    piece.len -= part;
  }
}

/// The records that make the copy; the source's lists are checked, so that no slice is freed meanwhile.
Target translate_all(Txn& txn, const Copy& copy) {
  Target target;
  auto end = copy.in_offset + copy.length;
  for (auto& key : source_chunks(copy)) {
    auto& chunk = std::get<ChunkKey>(key);
    auto slices = txn.get_or<Slices>(key, {});
    auto base = chunk.index.value * kChunkBytes;
    auto from = std::max(copy.in_offset, base) - base, to = std::min(end, base + kChunkBytes) - base;
    for (auto& piece : shown_between(slices, static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(to)))
      translate(target, copy, base + piece.pos, piece);
    txn.check(SlicesBeginWith{chunk, std::move(slices)});
  }
  return target;
}

void append_all(Txn& txn, Ino out, Target target) {
  std::map<SliceId, std::pair<std::uint32_t, std::int64_t>> used;
  for (auto& [index, slices] : target) {
    for (auto& slice : slices)
      if (slice.id.value != 0) used[slice.id].first = slice.size, ++used[slice.id].second;
    txn.write(AppendSlices{{out, index}, std::move(slices)});
  }
  for (auto& [id, use] : used) txn.write(AddSliceRef{id, use.first, use.second});
}

Async<CopiedRange> copy_in(Txn& txn, Who who, Copy copy) {
  CO_CHECK(co_await txn.load(Keys{AttrKey{copy.in}, AttrKey{copy.out}}));
  for (Ino ino : {copy.in, copy.out}) {
    auto* attr = txn.attr(ino);
    if (!attr) co_return posix(ENOENT);
    if (attr->is_dir()) co_return posix(EISDIR);
    if (!attr->is_file()) co_return posix(EINVAL);
    txn.check_attr(ino, kType | kFlags | kLength);
  }
  auto out = *txn.attr(copy.out);
  if (out.flags & (kImmutable | kAppendOnly)) co_return posix(EPERM);
  auto in_length = txn.attr(copy.in)->length;
  if (copy.in_offset >= in_length || copy.length == 0) co_return CopiedRange{0, out};
  copy.length = std::min(copy.length, in_length - copy.in_offset);
  CO_CHECK(co_await txn.load_certain(source_chunks(copy)));  // a check sees a list's start only
  CO_CHECK(co_await count_length(txn, copy.out, std::max(out.length, copy.out_offset + copy.length)));
  append_all(txn, copy.out, translate_all(txn, copy));
  if (copy.kill_suidgid) drop_setid(txn, who, copy.out);
  Attr to;
  to.length = std::max(out.length, copy.out_offset + copy.length);
  to.mtime = to.ctime = txn.client().clock().now();
  txn.patch(copy.out, kLength | kMtime | kCtime, to);
  co_return CopiedRange{copy.length, *txn.attr(copy.out)};
}

}  // namespace

Async<CopiedRange> copy_range(Client& client, Who who, Ino in, std::uint64_t in_offset, Ino out,
                              std::uint64_t out_offset, std::uint64_t length, bool kill_suidgid) {
  OpTimer timer(OpName::copy_range);
  // More than this in one commit would hold everyone else up; callers ask again for the rest.
  constexpr std::uint64_t kMost = 64 * kChunkBytes;
  length = std::min(length, kMost);
  if (out_offset > kMaxFileBytes || length > kMaxFileBytes - out_offset) co_return posix(EFBIG);
  if (in == out && in_offset < out_offset + length && out_offset < in_offset + length) co_return posix(EINVAL);
  co_return co_await transact<CopiedRange>(client, [&](Txn& txn) -> Async<CopiedRange> {
    co_return co_await copy_in(txn, who, Copy{in, in_offset, out, out_offset, length, kill_suidgid});
  });
}

}  // namespace kiseki::meta
