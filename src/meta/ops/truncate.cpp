#include <linux/falloc.h>

#include <algorithm>

#include "meta/op_timer.hpp"
#include "meta/ops/common.hpp"

namespace kiseki::meta {

using namespace op;

namespace {

/// A regular file whose content `flags_forbidden` do not protect. Loads it and checks that it stays one.
Async<Attr> need_file(Txn& txn, Ino ino, std::uint8_t flags_forbidden) {
  CO_CHECK(co_await txn.load(AttrKey{ino}));
  auto* attr = txn.attr(ino);
  if (!attr) co_return posix(ENOENT);
  if (attr->is_dir()) co_return posix(EISDIR);
  if (!attr->is_file()) co_return posix(EINVAL);
  if (attr->flags & flags_forbidden) co_return posix(EPERM);
  txn.check_attr(ino, kType | kFlags);
  co_return *attr;
}

/// Chunks behind the first one of the range that have records, in order: those that a hole must be put into.
Async<std::vector<ChunkIndex>> chunks_within(Client& client, Ino ino, std::uint64_t begin, std::uint64_t end) {
  auto index = [](std::uint64_t at) { return static_cast<std::uint32_t>(at / kChunkBytes); };
  if (end <= begin || index(end - 1) <= index(begin)) co_return std::vector<ChunkIndex>();
  co_return co_await client.engine().find_chunks(ino, ChunkIndex{index(begin) + 1}, ChunkIndex{index(end - 1) + 1});
}

Async<Attr> truncate_in(Txn& txn, Who who, Ino ino, std::uint64_t length, bool kill_suidgid) {
  CO_TRY(auto attr, co_await need_file(txn, ino, kImmutable | kAppendOnly));
  CO_CHECK(co_await need_access(txn, who, ino, kWrite));
  Attr to;
  std::uint32_t set = kMtime | kCtime;  // also where the length stays, as in Linux
  if (kill_suidgid) txn.check_attr(ino, kMode | kGid);
  if (kill_suidgid && without_setid(attr, who) != attr.mode) {
    to.mode = without_setid(attr, who);
    set |= kMode;
  }
  if (length != attr.length) {
    auto begin = std::min(length, attr.length), end = std::max(length, attr.length);
    // A chunk may get its first record after we looked which exist; that write shows in the times.
    if (end / kChunkBytes > begin / kChunkBytes) txn.check_attr(ino, kMtime | kCtime);
    CO_TRY(auto existing, co_await chunks_within(txn.client(), ino, begin, end));
    CO_CHECK(co_await count_length(txn, ino, length));
    append_holes(txn, ino, begin, end, existing);
    to.length = length;
    set |= kLength;
  }
  to.mtime = to.ctime = txn.client().clock().now();
  txn.patch(ino, set, to);
  co_return *txn.attr(ino);
}

Result<void> check_fallocate(std::uint64_t offset, std::uint64_t length, std::uint32_t mode) {
  constexpr std::uint32_t kKnown = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
  if (length == 0) return posix(EINVAL);
  if ((mode & ~kKnown) != 0) return posix(EOPNOTSUPP);
  if ((mode & FALLOC_FL_PUNCH_HOLE) && (mode & FALLOC_FL_ZERO_RANGE)) return posix(EOPNOTSUPP);
  if ((mode & FALLOC_FL_PUNCH_HOLE) && !(mode & FALLOC_FL_KEEP_SIZE)) return posix(EOPNOTSUPP);
  if (offset > kMaxFileBytes || length > kMaxFileBytes - offset) return posix(EFBIG);
  return done();
}

/// Space asked for beyond the end must exist, even if nothing is put there yet. The volume's own limits are checked by
/// the commit; this is for what merely looks endless, and for space kept without growing.
Async<void> need_space(Client& client, std::uint64_t end, std::uint64_t length) {
  if (end <= length) co_return done();
  CO_TRY(auto now, co_await usage(client));
  co_return end - length > now.available_bytes ? Result<void>(posix(ENOSPC)) : done();
}

struct Range {
  std::uint64_t offset, length;
};

Async<Attr> fallocate_in(Txn& txn, Who who, Ino ino, Range range, std::uint32_t mode, bool kill_suidgid) {
  auto [offset, length] = range;
  CO_TRY(auto attr, co_await need_file(txn, ino, kImmutable));
  if (!(mode & FALLOC_FL_PUNCH_HOLE)) CO_CHECK(co_await need_space(txn.client(), offset + length, attr.length));
  bool zeroes = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);
  if ((attr.flags & kAppendOnly) && (mode & ~std::uint32_t{FALLOC_FL_KEEP_SIZE}) != 0) co_return posix(EPERM);
  auto after = mode & FALLOC_FL_KEEP_SIZE ? attr.length : std::max(attr.length, offset + length);
  CO_CHECK(co_await count_length(txn, ino, after));
  auto zero_end = std::min(offset + length, attr.length);
  if (zeroes && offset < zero_end) {
    if (zero_end / kChunkBytes > offset / kChunkBytes) txn.check_attr(ino, kMtime | kCtime);
    CO_TRY(auto existing, co_await chunks_within(txn.client(), ino, offset, zero_end));
    append_holes(txn, ino, offset, zero_end, existing);
  }
  if (kill_suidgid) drop_setid(txn, who, ino);
  Attr to;
  to.length = after;
  to.mtime = to.ctime = txn.client().clock().now();
  txn.patch(ino, kLength | kMtime | kCtime, to);
  co_return *txn.attr(ino);
}

}  // namespace

Async<Attr> truncate(Client& client, Who who, Ino ino, std::uint64_t length, bool kill_suidgid) {
  OpTimer timer(OpName::truncate);
  if (length > kMaxFileBytes) co_return posix(EFBIG);
  co_return co_await transact<Attr>(
      client, [&](Txn& txn) -> Async<Attr> { co_return co_await truncate_in(txn, who, ino, length, kill_suidgid); });
}

Async<Attr> fallocate(Client& client, Who who, Ino ino, std::uint64_t offset, std::uint64_t length, std::uint32_t mode,
                      bool kill_suidgid) {
  OpTimer timer(OpName::fallocate);
  CO_CHECK(check_fallocate(offset, length, mode));
  co_return co_await transact<Attr>(client, [&](Txn& txn) -> Async<Attr> {
    co_return co_await fallocate_in(txn, who, ino, Range{offset, length}, mode, kill_suidgid);
  });
}

}  // namespace kiseki::meta
