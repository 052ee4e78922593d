#include "meta/ops/setattr.hpp"

#include <algorithm>
#include <ranges>

#include "meta/acl_book.hpp"
#include "meta/op_timer.hpp"
#include "meta/ops/acl_rules.hpp"
#include "meta/ops/common.hpp"

namespace kiseki::meta {

using namespace op;

namespace {

constexpr std::uint32_t kSettable = kMode | kUid | kGid | kAtime | kMtime | kFlags;

/// Times that are set to a value, not to the clock.
bool explicit_times(const AttrChange& change) {
  return ((change.set & kAtime) && !change.atime_now) || ((change.set & kMtime) && !change.mtime_now);
}

Result<void> check_flags(const Attr& attr, const AttrChange& change) {
  if (!(attr.flags & (kImmutable | kAppendOnly)) || (change.set & kFlags)) return done();
  if ((change.set & (kMode | kUid | kGid)) || explicit_times(change)) return posix(EPERM);
  if ((attr.flags & kImmutable) && (change.set & (kAtime | kMtime))) return posix(EPERM);
  return done();
}

Async<void> check_owner(Txn& txn, Who who, Ino ino, const AttrChange& change) {
  if (!who.check_permissions || who.uid == 0) co_return done();
  auto& attr = *txn.attr(ino);
  bool owner = attr.uid == who.uid;
  if ((change.set & (kMode | kFlags)) && !owner) co_return posix(EPERM);
  if ((change.set & kUid) && (change.to.uid != attr.uid || !owner)) co_return posix(EPERM);
  if ((change.set & kGid) && (!owner || (change.to.gid != attr.gid && change.to.gid != who.gid)))
    co_return posix(EPERM);
  if (owner || !(change.set & (kAtime | kMtime))) co_return done();
  if (explicit_times(change)) co_return posix(EPERM);
  co_return co_await need_access(txn, who, ino, kWrite);
}

/// The mode after the change, and the ACL that goes with it.
Async<void> change_mode(Txn& txn, Who who, Ino ino, const AttrChange& change, Attr& to, std::uint32_t& set) {
  auto attr = *txn.attr(ino);
  bool owner_changes = change.set & (kUid | kGid);
  auto mode = attr.mode;
  if (change.set & kMode)
    mode = change.to.mode & 07777;
  else if (!attr.is_dir() && (owner_changes || change.kill_suidgid))
    mode = without_setid(attr, who);
  if (who.check_permissions && who.uid != 0 && (change.set & kMode) && who.gid != attr.gid)
    mode &= static_cast<std::uint16_t>(~kSetGid);
  if (mode == attr.mode && !(change.set & kMode)) co_return done();
  txn.check_attr(ino, kMode | kAccessAcl);
  to.mode = mode;
  set |= kMode;
  if (attr.access_acl == 0 || !(change.set & kMode)) co_return done();
  auto& client = txn.client();
  CO_TRY(auto rule, co_await client.acls().rule(client, attr.access_acl));
  set_mode(rule, mode);
  CO_TRY(to.access_acl, co_await client.acls().id_of(client, std::move(rule)));
  set |= kAccessAcl;
  co_return done();
}

/// From the owners it had to those that differ; who stays owner is not asked for room again. All or nothing: what the
/// transaction did before may be committed without it.
Result<void> move_usage(Txn& txn, Ino ino, const Attr& attr, const Attr& to, std::uint32_t set) {
  struct Move {
    QuotaKey from, into;
  };
  const Move moves[] = {{{QuotaKind::user, attr.uid}, {QuotaKind::user, set & kUid ? to.uid : attr.uid}},
                        {{QuotaKind::group, attr.gid}, {QuotaKind::group, set & kGid ? to.gid : attr.gid}}};
  auto differ = [](const Move& move) { return move.from != move.into; };
  if (std::ranges::none_of(moves, differ) || !txn.client().format()->user_group_quota) return done();
  txn.check_attr(ino, kLength);
  auto space = weight_of(attr).space;
  for (auto& move : moves | std::views::filter(differ)) TRY_CHECK(check_room_of(txn.client(), move.into, space, 1));
  for (auto& move : moves | std::views::filter(differ)) {
    TRY_CHECK(count_for(txn, move.from, -space, -1));
    TRY_CHECK(count_for(txn, move.into, space, 1));
  }
  return done();
}

}  // namespace

Async<Attr> op::setattr_in(Txn& txn, Who who, Ino ino, AttrChange change) {
  CO_CHECK(co_await txn.load(AttrKey{ino}));
  auto* found = txn.attr(ino);
  if (!found) co_return posix(ENOENT);
  auto attr = *found;
  if (is_trash(ino) || is_trash(attr.parent)) co_return posix(EPERM);
  txn.check_attr(ino, kType | kFlags | kParent);
  CO_CHECK(check_flags(attr, change));
  CO_CHECK(co_await check_owner(txn, who, ino, change));

  auto now = txn.client().clock().now();
  auto set = change.set & (kUid | kGid | kAtime | kMtime | kFlags);
  Attr to = change.to;
  if (change.atime_now) to.atime = now;
  if (change.mtime_now) to.mtime = now;
  if (set & (kUid | kGid)) txn.check_attr(ino, kUid | kGid | kMode);
  CO_CHECK(co_await change_mode(txn, who, ino, change, to, set));
  CO_CHECK(move_usage(txn, ino, attr, to, set));
  if (set == 0) co_return attr;
  to.ctime = now;
  txn.patch(ino, set | kCtime, to);
  co_return *txn.attr(ino);
}

Async<Attr> setattr(Client& client, Who who, Ino ino, AttrChange change) {
  OpTimer timer(OpName::setattr);
  if ((change.set & ~kSettable) != 0) co_return posix(EINVAL);
  co_return co_await transact<Attr>(
      client, [&](Txn& txn) -> Async<Attr> { co_return co_await setattr_in(txn, who, ino, change); });
}

bool atime_is_due(const ClientOptions& options, const Attr& attr, Timestamp now) {
  if (options.strict_atime) return true;
  if (!options.relatime) return false;
  return attr.atime <= attr.mtime || attr.atime <= attr.ctime || now.sec - attr.atime.sec >= 24 * 3600;
}

Async<void> touch_atime(Client& client, Ino ino) {
  if (client.options().read_only || (!client.options().strict_atime && !client.options().relatime)) co_return done();
  co_return co_await transact<void>(client, [&](Txn& txn) -> Async<void> {
    CO_CHECK(co_await txn.load(AttrKey{ino}));
    auto* attr = txn.attr(ino);
    if (!attr) co_return posix(ENOENT);
    auto now = client.clock().now();
    if (!atime_is_due(client.options(), *attr, now)) co_return done();
    Attr to;
    to.atime = now;
    txn.patch(ino, kAtime, to);
    co_return done();
  });
}

}  // namespace kiseki::meta
