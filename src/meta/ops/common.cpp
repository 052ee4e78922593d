#include "meta/ops/common.hpp"

#include <algorithm>

#include "meta/access.hpp"
#include "meta/acl_book.hpp"
#include "meta/ops/acl_rules.hpp"
#include "meta/patch.hpp"
#include "meta/tree_walk.hpp"

namespace kiseki::meta::op {

Result<void> check_new_name(Ino parent, std::string_view name) {
  if (name.size() > kMaxName) return posix(ENAMETOOLONG);
  if (name.empty() || name.find('/') != name.npos || name.find('\0') != name.npos) return posix(EINVAL);
  if (name == "." || name == ".." || (parent == kRootIno && name == Client::kTrashName)) return posix(EEXIST);
  return done();
}

Result<void> check_old_name(std::string_view name) {
  if (name.size() > kMaxName) return posix(ENAMETOOLONG);
  if (name.empty()) return posix(ENOENT);
  return done();
}

// ---- access -------------------------------------------------------------------------------------------------------

namespace {

Async<void> need_mode_bits(Client& client, Who who, Attr attr, std::uint32_t mask) {
  std::uint32_t allowed;
  if (attr.access_acl != 0 && (attr.mode & 070) != 0) {
    CO_TRY(auto rule, co_await client.acls().rule(client, attr.access_acl));
    co_return acl_allows(rule, attr.uid, attr.gid, who.uid, who.gid, mask) ? done() : Result<void>(posix(EACCES));
  }
  if (attr.uid == who.uid)
    allowed = attr.mode >> 6;
  else if (attr.gid == who.gid)
    allowed = attr.mode >> 3;
  else
    allowed = attr.mode;
  co_return (allowed & mask) == mask ? done() : Result<void>(posix(EACCES));
}

}  // namespace

Async<void> need_access(Txn& txn, Who who, Ino ino, std::uint32_t mask) {
  if (!is_checked(who)) co_return done();
  auto* attr = txn.attr(ino);
  if (!attr) co_return posix(ENOENT);
  co_return co_await need_mode_bits(txn.client(), who, *attr, mask);
}

namespace {

Result<void> check_directory(Txn& txn, Ino parent) {
  auto* attr = txn.attr(parent);
  if (!attr) return posix(ENOENT);
  if (!attr->is_dir()) return posix(ENOTDIR);
  txn.check_attr(parent, kDirIdentity);
  return done();
}

}  // namespace

Async<void> need_parent_for_making(Txn& txn, Who who, Ino parent) {
  if (is_trash(parent)) co_return posix(EPERM);
  CO_CHECK(check_directory(txn, parent));
  auto* attr = txn.attr(parent);
  if (is_trash(attr->parent)) co_return posix(ENOENT);
  CO_CHECK(co_await need_access(txn, who, parent, kWrite | kExecute));
  if (txn.attr(parent)->flags & kImmutable) co_return posix(EPERM);
  co_return done();
}

Async<void> need_no_entry(Txn& txn, Ino parent, const std::string& name) {
  EntryKey key{parent, name};
  if (!txn.client().cache().guess_entry(parent, name)) {
    txn.require(Unchanged{key, Record()}, EEXIST);
    co_return done();
  }
  CO_CHECK(co_await txn.load(key));
  if (txn.entry(parent, name)) co_return posix(EEXIST);
  txn.check_entry(parent, name);
  co_return done();
}

Async<void> need_parent_for_removing(Txn& txn, Who who, Ino parent) {
  if (is_trash(parent) && who.uid != 0) co_return posix(EACCES);
  if (parent == kTrashIno) co_return posix(EPERM);
  CO_CHECK(check_directory(txn, parent));
  CO_CHECK(co_await need_access(txn, who, parent, kWrite | kExecute));
  if (txn.attr(parent)->flags & (kImmutable | kAppendOnly)) co_return posix(EPERM);
  co_return done();
}

Result<void> check_sticky(Who who, const Attr& parent, const Attr& child) {
  if (!who.check_permissions || who.uid == 0 || !(parent.mode & kSticky)) return done();
  if (who.uid == parent.uid || who.uid == child.uid) return done();
  return posix(EPERM);
}

std::uint16_t without_setid(const Attr& attr, Who who) {
  auto kept = static_cast<std::uint16_t>(attr.mode & ~kSetUid);
  bool stranger = who.uid != 0 && who.gid != attr.gid;
  return stranger || (attr.mode & 010) ? static_cast<std::uint16_t>(kept & ~kSetGid) : kept;
}

void drop_setid(Txn& txn, Who who, Ino ino) {
  auto& attr = *txn.attr(ino);
  txn.check_attr(ino, kMode | kGid);
  Attr to;
  to.mode = without_setid(attr, who);
  if (to.mode != attr.mode) txn.patch(ino, kMode, to);
}

namespace {

/// Past, by less than `limit`. Any time may have been set (utimes), and most of them are no number of nanoseconds.
bool is_younger(Timestamp time, Timestamp now, std::chrono::milliseconds limit) {
  using std::chrono::seconds;
  if (time > now || time.sec < now.sec - std::chrono::ceil<seconds>(limit).count()) return false;
  auto age = seconds(now.sec - time.sec) + std::chrono::nanoseconds(std::int64_t{now.nsec} - std::int64_t{time.nsec});
  return age < limit;
}

}  // namespace

void inherit_owner(Attr& attr, Who who, const Attr& above) {
  attr.uid = who.uid;
  attr.gid = above.mode & kSetGid ? above.gid : who.gid;
  attr.flags = above.flags & kSkipTrash;
  attr.tier = above.tier;
}

void touch_directory(Txn& txn, Ino dir, Timestamp now, std::int32_t add_nlink) {
  if (is_trash(dir)) return;
  auto* attr = txn.attr(dir);
  // A time ahead of ours was set by someone: a change sets it back.
  if (add_nlink == 0 && is_younger(attr->mtime, now, txn.client().options().skip_dir_mtime)) return;
  Attr to;
  to.mtime = to.ctime = now;
  txn.patch(dir, kMtime | kCtime, to, add_nlink);
}

Async<std::vector<Ino>> chain_of(Txn& txn, Ino dir) {
  std::vector<Ino> chain;
  Climb climb;
  for (Ino at = dir; at.value != 0 && !is_trash(at);) {
    if (!climb.at(at)) co_return posix(ELOOP);
    chain.push_back(at);
    if (at == kRootIno) break;
    CO_CHECK(co_await txn.load(AttrKey{at}));
    auto* attr = txn.attr(at);
    if (!attr) break;
    at = attr->parent;
  }
  co_return chain;
}

// ---- counting -----------------------------------------------------------------------------------------------------

DirStat weight_of(const Attr& attr) {
  if (!attr.is_file()) return {0, 4096, 1};
  return {static_cast<std::int64_t>(attr.length), used_space(attr.length), 1};
}

namespace {

bool over(const Quota& quota, std::int64_t space, std::int64_t inodes) {
  return (space > 0 && quota.max_space > 0 && sum(quota.used_space, space) > quota.max_space) ||
         (inodes > 0 && quota.max_inodes > 0 && sum(quota.used_inodes, inodes) > quota.max_inodes);
}

Async<void> count_in_quotas(Txn& txn, Ino dir, DirStat delta, bool limits) {
  CO_TRY(auto chain, co_await chain_of(txn, dir));
  for (Ino at : chain) {
    if (at != kRootIno) txn.check_attr(at, kParent);  // moved meanwhile, it would stand below other quotas
    QuotaKey key{QuotaKind::directory, at.value};
    auto quota = txn.client().cache().quotas().find(key);
    if (!quota) continue;
    if (limits && over(*quota, delta.space, delta.inodes)) co_return posix(EDQUOT);
    txn.write(AddQuotaUsage{key, delta.space, delta.inodes});
  }
  co_return done();
}

}  // namespace

Async<void> count_in_directory(Txn& txn, Ino dir, DirStat delta, bool limits) {
  if (dir.value == 0 || delta == DirStat()) co_return done();
  auto& client = txn.client();
  if (client.format()->dir_stats) txn.write(AddDirStat{dir, delta});
  if (!client.cache().quotas().loaded()) CO_CHECK(co_await client.load_quotas());
  if (!client.cache().quotas().any_directory()) co_return done();
  co_return co_await count_in_quotas(txn, dir, delta, limits);
}

Async<void> count_in_parents(Txn& txn, Ino ino, DirStat delta, bool limits) {
  if (delta == DirStat()) co_return done();
  auto* attr = txn.attr(ino);
  txn.check_attr(ino, kParent | kNlink);
  if (attr->nlink == 0) co_return done();
  if (attr->parent.value != 0) co_return co_await count_in_directory(txn, attr->parent, delta, limits);
  ParentsKey key{ino};
  CO_CHECK(co_await txn.load(key));
  txn.check(Key(key));
  auto parents = txn.get_or<Parents>(key, {});
  for (auto [parent, links] : parents) {
    CO_CHECK(co_await count_in_directory(txn, parent, times(delta, links), limits));
  }
  co_return done();
}

void count_in_volume(Txn& txn, std::int64_t space, std::int64_t inodes) {
  auto format = txn.client().format();
  auto limit = [&](Counter which, std::int64_t delta, std::uint64_t most) {
    if (delta > 0 && most > 0) txn.require(CounterWithin{which, delta, static_cast<std::int64_t>(most)}, ENOSPC);
    if (delta != 0) txn.write(AddCounter{which, delta});
  };
  constexpr auto kMostBytes = std::uint64_t{1} << 62;  // a few sparse files lead there, and sums have 64 bits
  limit(Counter::used_space, space, format->capacity > 0 ? std::min(format->capacity, kMostBytes) : kMostBytes);
  limit(Counter::total_inodes, inodes, format->inodes);
}

Result<void> check_room_of(Client& client, QuotaKey owner, std::int64_t space, std::int64_t inodes) {
  auto quota = client.cache().quotas().find(owner);
  bool limited = quota && owner != QuotaKey{QuotaKind::user, 0};
  if (limited && over(*quota, space, inodes)) return posix(EDQUOT);
  return done();
}

Result<void> count_for(Txn& txn, QuotaKey owner, std::int64_t space, std::int64_t inodes) {
  if (!txn.client().format()->user_group_quota || (space == 0 && inodes == 0)) return done();
  TRY_CHECK(check_room_of(txn.client(), owner, space, inodes));
  txn.write(AddQuotaUsage{owner, space, inodes});
  return done();
}

Result<void> count_for_owner(Txn& txn, std::uint32_t uid, std::uint32_t gid, std::int64_t space, std::int64_t inodes) {
  TRY_CHECK(count_for(txn, QuotaKey{QuotaKind::user, uid}, space, inodes));
  return count_for(txn, QuotaKey{QuotaKind::group, gid}, space, inodes);
}

Async<void> count_length(Txn& txn, Ino ino, std::uint64_t length) {
  auto attr = *txn.attr(ino);
  txn.check_attr(ino, kLength);
  if (attr.length == length) co_return done();
  auto space = used_space(length) - used_space(attr.length);
  DirStat delta{static_cast<std::int64_t>(length) - static_cast<std::int64_t>(attr.length), space, 0};
  CO_CHECK(co_await count_in_parents(txn, ino, delta, true));
  count_in_volume(txn, space, 0);
  if (txn.client().format()->user_group_quota) txn.check_attr(ino, kUid | kGid);
  co_return count_for_owner(txn, attr.uid, attr.gid, space, 0);
}

// ---- holes --------------------------------------------------------------------------------------------------------

void append_holes(Txn& txn, Ino ino, std::uint64_t begin, std::uint64_t end, const std::vector<ChunkIndex>& existing) {
  if (begin >= end) return;
  auto append = [&](std::uint64_t index) {
    auto from = std::max(begin, index * kChunkBytes), to = std::min(end, (index + 1) * kChunkBytes);
    Slice hole{static_cast<std::uint32_t>(from % kChunkBytes), SliceId{0}, 0, 0, static_cast<std::uint32_t>(to - from)};
    txn.write(AppendSlices{{ino, ChunkIndex{static_cast<std::uint32_t>(index)}}, {hole}});
  };
  auto first = begin / kChunkBytes, last = (end - 1) / kChunkBytes;
  bool last_is_whole = end % kChunkBytes == 0;
  append(first);
  for (auto chunk : existing)
    if (chunk.value > first && (chunk.value < last || (chunk.value == last && last_is_whole))) append(chunk.value);
  if (last > first && !last_is_whole) append(last);
}

}  // namespace kiseki::meta::op

namespace kiseki::meta {

Async<void> access(Client& client, Who who, Ino ino, std::uint32_t mask) {
  if (!is_checked(who)) co_return done();
  CO_TRY(auto attr, co_await getattr(client, ino));
  co_return co_await op::need_mode_bits(client, who, attr, mask);
}

}  // namespace kiseki::meta
