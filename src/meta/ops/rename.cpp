#include <fcntl.h>
#include <stdio.h>

#include <algorithm>

#include "meta/op_timer.hpp"
#include "meta/ops/common.hpp"
#include "meta/ops/rename_count.hpp"

#ifndef RENAME_WHITEOUT
#define RENAME_WHITEOUT (1 << 2)
#endif

namespace kiseki::meta {

using namespace op;

namespace {

struct Move {
  Who who;
  Ino from;
  std::string name;
  Ino to;
  std::string to_name;
  std::uint32_t flags = 0;
  Ino trash;     ///< 0: not asked for yet, or none
  Ino whiteout;  ///< number of the inode that stays behind

  bool exchange() const { return flags & RENAME_EXCHANGE; }
  bool crosses() const { return from != to; }
};

struct Moved {
  Renamed renamed;
  std::optional<Taken> taken;
};

Result<void> check_request(const Move& move) {
  constexpr std::uint32_t kKnown = RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT;
  if (move.flags & ~kKnown) return posix(EINVAL);
  if (move.exchange() && (move.flags & (RENAME_NOREPLACE | RENAME_WHITEOUT))) return posix(EINVAL);
  TRY_CHECK(check_old_name(move.name));
  for (auto& name : {move.name, move.to_name})
    if (name == "." || name == "..") return posix(EBUSY);
  if ((move.from == kRootIno && move.name == Client::kTrashName) ||
      (move.to == kRootIno && move.to_name == Client::kTrashName))
    return posix(EPERM);
  if (is_trash(move.to)) return posix(EPERM);
  return check_new_name(move.to, move.to_name);
}

/// No directory may end up below itself. Every directory the answer hangs on is checked to still have its parent when
/// the rename happens, so that two renames racing each other cannot make a cycle either.
Async<void> forbid_cycle(Txn& txn, Ino moving, Ino into) {
  CO_TRY(auto chain, co_await chain_of(txn, into));
  for (Ino at : chain) {
    if (at == moving) co_return posix(EINVAL);
    if (at != kRootIno) txn.check_attr(at, kParent);
  }
  co_return done();
}

/// What may not be moved or replaced.
Result<void> check_pair(const Move& move, const Attr& moving, const Attr* target) {
  constexpr std::uint8_t kFixed = kImmutable | kAppendOnly;
  if (moving.flags & kFixed) return posix(EPERM);
  if (!target) return done();
  if (!move.exchange()) {
    if (moving.is_dir() && !target->is_dir()) return posix(ENOTDIR);
    if (!moving.is_dir() && target->is_dir()) return posix(EISDIR);
  }
  return target->flags & kFixed ? Result<void>(posix(EPERM)) : done();
}

/// One inode now lives in another directory.
void change_home(Txn& txn, Ino ino, Ino from, Ino to, Timestamp now) {
  auto attr = *txn.attr(ino);
  txn.check_attr(ino, kType | kFlags | kParent | kLength | kNlink);
  Attr change;
  change.ctime = now;
  change.parent = to;
  bool linked = attr.parent.value == 0;
  txn.patch(ino, kCtime | (from != to && !linked ? kParent : 0), change);
  if (from == to || !linked) return;
  txn.write(AddParent{ino, to, 1});
  txn.write(AddParent{ino, from, -1});
}

Async<void> leave_whiteout(Txn& txn, const Move& move, Timestamp now) {
  Attr attr;
  attr.type = FileType::char_device;
  inherit_owner(attr, move.who, *txn.attr(move.from));
  attr.nlink = 1;
  attr.parent = move.from;
  attr.atime = attr.mtime = attr.ctime = now;
  txn.write(PutAttr{move.whiteout, attr});
  txn.write(PutEntry{{move.from, move.name}, {move.whiteout, attr.type}});
  count_in_volume(txn, 4096, 1);
  CO_CHECK(count_for_owner(txn, attr.uid, attr.gid, 4096, 1));
  co_return co_await count_in_directory(txn, move.from, weight_of(attr), true);
}

/// Links from subdirectories to their parents.
struct LinkChange {
  std::int32_t from = 0, to = 0;
};

LinkChange link_change(const Move& move, const Attr& moving, const Attr* target) {
  LinkChange change;
  if (move.crosses() && moving.is_dir()) --change.from, ++change.to;
  if (target && target->is_dir()) {
    if (!move.exchange())
      --change.to;
    else if (move.crosses())
      ++change.from, --change.to;
  }
  return change;
}

Async<void> exchange(Txn& txn, const Move& move, Ino ino, Ino target, Timestamp now) {
  CO_CHECK(co_await count_move(txn, ino, move.from, move.to));
  CO_CHECK(co_await count_move(txn, target, move.to, move.from));
  auto type = txn.attr(ino)->type, target_type = txn.attr(target)->type;
  change_home(txn, ino, move.from, move.to, now);
  change_home(txn, target, move.to, move.from, now);
  txn.write(PutEntry{{move.from, move.name}, {target, target_type}});
  txn.write(PutEntry{{move.to, move.to_name}, {ino, type}});
  co_return done();
}

Async<std::optional<Taken>> replace(Txn& txn, const Move& move, Ino ino, std::optional<Ino> target, Timestamp now) {
  std::optional<Taken> taken;
  if (target) {
    CO_TRY(auto gone, co_await take_name(txn, move.to, move.to_name, *target, move.trash, now));
    taken = gone;
  }
  CO_CHECK(co_await count_move(txn, ino, move.from, move.to));
  auto type = txn.attr(ino)->type;
  change_home(txn, ino, move.from, move.to, now);
  if (move.flags & RENAME_WHITEOUT) {
    CO_CHECK(co_await leave_whiteout(txn, move, now));
  } else {
    txn.write(EraseEntry{{move.from, move.name}});
  }
  txn.write(PutEntry{{move.to, move.to_name}, {ino, type}});
  co_return taken;
}

/// Both names, and what they stand for; decides whether there is anything to do.
struct Plan {
  Ino ino;
  std::optional<Ino> target;
  bool nothing = false;
};

Async<Plan> plan_move(Txn& txn, const Move& move) {
  CO_CHECK(co_await txn.load(Keys{AttrKey{move.from}, AttrKey{move.to}, EntryKey{move.from, move.name},
                                  ChildKey{move.from, move.name}, EntryKey{move.to, move.to_name},
                                  ChildKey{move.to, move.to_name}}));
  CO_CHECK(co_await need_parent_for_removing(txn, move.who, move.from));
  CO_CHECK(co_await need_parent_for_making(txn, move.who, move.to));
  auto* source = txn.entry(move.from, move.name);
  if (!source) co_return posix(ENOENT);
  auto* there = txn.entry(move.to, move.to_name);
  txn.check_entry(move.from, move.name);
  txn.check_entry(move.to, move.to_name);
  Plan plan{source->ino, there ? std::optional(there->ino) : std::nullopt};
  if (plan.target && (move.flags & RENAME_NOREPLACE)) co_return posix(EEXIST);
  if (!plan.target && move.exchange()) co_return posix(ENOENT);
  plan.nothing = plan.target == plan.ino;  // the same name, or two names of one file
  if (plan.nothing) co_return plan;
  Keys keys{AttrKey{plan.ino}};
  if (plan.target) keys.push_back(AttrKey{*plan.target});
  if (move.trash.value != 0) keys.push_back(AttrKey{move.trash});
  CO_CHECK(co_await txn.load(std::move(keys)));
  if (!txn.attr(plan.ino)) co_return posix(ENOENT);  // a dangling entry
  co_return plan;
}

Async<void> check_move(Txn& txn, const Move& move, const Plan& plan) {
  auto moving = *txn.attr(plan.ino);
  std::optional<Attr> target;
  if (plan.target && txn.attr(*plan.target)) target = *txn.attr(*plan.target);
  if (move.exchange() && !target) co_return posix(ENOENT);
  CO_CHECK(check_pair(move, moving, target ? &*target : nullptr));
  CO_CHECK(check_sticky(move.who, *txn.attr(move.from), moving));
  if (target) CO_CHECK(check_sticky(move.who, *txn.attr(move.to), *target));
  if (!move.crosses()) co_return done();
  if (moving.is_dir()) {
    CO_CHECK(co_await forbid_cycle(txn, plan.ino, move.to));
    if (txn.attr(move.to)->nlink >= kMaxLinks) co_return posix(EMLINK);
  }
  if (move.exchange() && target->is_dir()) CO_CHECK(co_await forbid_cycle(txn, *plan.target, move.from));
  co_return done();
}

Async<Moved> rename_in(Txn& txn, Move move) {
  CO_TRY(auto plan, co_await plan_move(txn, move));
  Moved moved{{plan.ino, std::nullopt, std::nullopt}, std::nullopt};
  if (plan.nothing) co_return moved;
  CO_CHECK(co_await check_move(txn, move, plan));
  bool replaces = plan.target && !move.exchange();
  if (replaces && move.trash.value == 0 && txn.client().format()->has_trash()) co_return trash_vanished();

  auto now = txn.client().clock().now();
  auto moving = *txn.attr(plan.ino);
  auto* found = plan.target ? txn.attr(*plan.target) : nullptr;
  auto links = link_change(move, moving, found);
  if (move.exchange()) {
    CO_CHECK(co_await exchange(txn, move, plan.ino, *plan.target, now));
    moved.renamed.exchanged = plan.target;
  } else {
    CO_TRY(moved.taken, co_await replace(txn, move, plan.ino, plan.target, now));
    if (moved.taken) moved.renamed.replaced = moved.taken->removed;
  }
  if (move.crosses()) {
    touch_directory(txn, move.from, now, links.from);
    touch_directory(txn, move.to, now, links.to);
  } else {
    touch_directory(txn, move.to, now, links.from + links.to);
  }
  co_return moved;
}

}  // namespace

Async<Renamed> rename(Client& client, Who who, Ino parent, std::string name, Ino to_parent, std::string to_name,
                      std::uint32_t flags) {
  OpTimer timer(OpName::rename);
  Move move{who, parent, std::move(name), to_parent, std::move(to_name), flags, Ino{0}, Ino{0}};
  CO_CHECK(check_request(move));
  if (flags & RENAME_WHITEOUT) {
    CO_TRY(move.whiteout, co_await client.new_inode());
  }
  for (int asked = 0;; ++asked) {
    auto moved =
        co_await transact<Moved>(client, [&](Txn& txn) -> Async<Moved> { co_return co_await rename_in(txn, move); });
    // Only a rename that replaces something needs the hour's trash.
    if (!moved && moved.error() == trash_vanished() && asked < 2) {
      CO_TRY(move.trash, co_await trash_now(client, to_parent, false, asked > 0));
      continue;
    }
    if (!moved) co_return moved.error();
    if (moved->taken) tell_reaper(client, *moved->taken);
    co_return moved->renamed;
  }
}

}  // namespace kiseki::meta
