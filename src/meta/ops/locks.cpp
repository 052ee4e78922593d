#include <algorithm>
#include <utility>

#include "meta/lock_queues.hpp"
#include "meta/ops/common.hpp"
#include "meta/ops/range_locks.hpp"

namespace kiseki::meta {

using namespace op;

namespace {

/// What a try finds.
struct Look {
  bool ask = false;       ///< told: whether the sessions of those in the way still live
  RangeLockTable held{};  ///< by whom, all there is in the file; with what was granted
  bool freed = false;     ///< by what was granted: less than its owner had before
};

/// Tries in its turn until it is granted. `attempt` answers EAGAIN while someone is in the way.
template <class Attempt>
Async<void> try_in_turn(LockQueues& queues, LockWish wish, Look& look, Attempt& attempt) {
  LockQueues::Place place(queues, wish);
  for (;;) {
    CO_TRY(auto turn, co_await place.turn());
    look.ask = turn.ask;
    Result<void> taken = co_await attempt(look);
    if (taken) place.granted(look.held);
    if (!taken && to_errno(taken.error()) == ETIMEDOUT) place.unanswered(taken.error());
    if (taken || taken.error() != posix(EAGAIN)) co_return taken;
    place.refused(look.held);
  }
}

/// Who does not want to wait stands in no queue: only those who hold a lock are in the way.
template <class Attempt>
Async<void> acquire(Client& client, LockWish wish, bool wait, Attempt attempt) {
  auto& queues = client.lock_queues();
  Look look{.ask = true};
  auto trying = wait ? try_in_turn(queues, wish, look, attempt) : attempt(look);
  Result<void> taken = co_await std::move(trying);
  if (taken && look.freed) queues.unlocked(wish.ino, wish.kind);
  co_return taken;
}

Async<void> need_inode(Txn& txn, Ino ino, const Key& locks) {
  CO_CHECK(co_await txn.load(Keys{AttrKey{ino}, locks}));
  co_return txn.attr(ino) ? done() : Result<void>(posix(ENOENT));
}

/// `sid` is in the way: EAGAIN, unless that session is dead, which is then a condition of the commit. JuiceFS's
/// clean-up overlooks shared flocks: a client that died with one would block writers for ever.
Async<void> need_gone(Txn& txn, SessionId sid, bool ask) {
  if (!ask || sid == txn.client().session() || sid.value == 0) co_return posix(EAGAIN);
  SessionKey key{sid};
  CO_CHECK(co_await txn.load(Key(key)));
  auto* session = txn.get<Session>(key);
  if (session && session->expire >= txn.client().clock().now().sec) co_return posix(EAGAIN);
  txn.check(Key(key));
  co_return done();
}

Async<void> try_flock(Client& client, Ino ino, std::uint64_t owner, bool exclusive, Look& look) {
  co_return co_await transact<void>(client, [&](Txn& txn) -> Async<void> {
    FileLocksKey key{ino};
    CO_CHECK(co_await need_inode(txn, ino, key));
    auto sid = client.session();
    auto locks = txn.get_or<FileLocks>(key, {});
    look = {look.ask, as_ranges(locks)};
    for (auto& held : locks) {
      if (held.sid == sid && held.owner == owner) {
        look.freed = held.exclusive && !exclusive;
      } else if (exclusive || held.exclusive) {
        CO_CHECK(co_await need_gone(txn, held.sid, look.ask));
        txn.write(EraseFileLock{ino, held.sid, held.owner});
        replace(look.held, {held.sid, held.owner, {}});
      }
    }
    txn.check(Key(key));
    txn.write(PutFileLock{ino, {sid, owner, exclusive}});
    replace(look.held, {sid, owner, {whole_file(exclusive)}});
    co_return done();
  });
}

Async<void> drop_flock(Client& client, Ino ino, std::uint64_t owner) {
  Commit commit;
  commit.writes.push_back(EraseFileLock{ino, client.session(), owner});
  CO_TRY(auto outcome, co_await client.commit(std::move(commit)));
  client.lock_queues().unlocked(ino, LockKind::flock);
  co_return outcome.applied ? done() : Result<void>(posix(EIO));
}

/// Who shares a lock and wants to have it alone lets go of it first if that cannot be at once, as flock(2) has it: two
/// of them would wait for each other for ever.
Async<void> try_flock_or_let_go(Client& client, Ino ino, std::uint64_t owner, bool exclusive, Look& look) {
  auto taken = co_await try_flock(client, ino, owner, exclusive, look);
  auto sid = client.session();
  bool shares = std::ranges::any_of(look.held, [&](auto& held) { return is_own(held, sid, owner); });
  if (taken || taken.error() != posix(EAGAIN) || !shares) co_return taken;
  CO_CHECK(co_await drop_flock(client, ino, owner));
  replace(look.held, {sid, owner, {}});
  co_return taken;
}

Async<void> try_set_lock(Client& client, Ino ino, std::uint64_t owner, RangeLock want, Look& look) {
  co_return co_await transact<void>(client, [&](Txn& txn) -> Async<void> {
    RangeLocksKey key{ino};
    if (want.type == kUnlock) {
      CO_CHECK(co_await txn.load(key));  // also of an inode that is gone
    } else {
      CO_CHECK(co_await need_inode(txn, ino, key));
    }
    auto sid = client.session();
    RangeLocks own{sid, owner, {}};
    auto table = txn.get_or<RangeLockTable>(key, {});
    look = {look.ask, table};
    for (auto& held : table) {
      if (is_own(held, sid, owner)) {
        own = held;
      } else if (want.type != kUnlock && conflict(held.ranges, want)) {
        CO_CHECK(co_await need_gone(txn, held.sid, look.ask));
        RangeLocks nothing{held.sid, held.owner, {}};
        replace(look.held, nothing);
        txn.write(PutRangeLocks{ino, std::move(nothing)});
      }
    }
    auto after = with_lock(own.ranges, want);
    if (after == own.ranges) co_return done();
    look.freed = want.type == kUnlock || (want.type == kReadLock && conflict(own.ranges, want));
    own.ranges = std::move(after);
    replace(look.held, own);
    txn.check(Key(key));
    txn.write(PutRangeLocks{ino, std::move(own)});
    co_return done();
  });
}

}  // namespace

Async<void> flock(Client& client, Ino ino, std::uint64_t owner, std::uint32_t type, bool wait) {
  if (type > kUnlock) co_return posix(EINVAL);
  if (type == kUnlock) co_return co_await drop_flock(client, ino, owner);
  bool exclusive = type == kWriteLock;
  LockWish wish{ino, LockKind::flock, client.session(), owner, whole_file(exclusive)};
  co_return co_await acquire(client, wish, wait,
                             [&](Look& look) { return try_flock_or_let_go(client, ino, owner, exclusive, look); });
}

Async<RangeLock> get_lock(Client& client, Ino ino, std::uint64_t owner, RangeLock want) {
  if (want.type > kUnlock || want.start > want.end) co_return posix(EINVAL);
  Keys keys{RangeLocksKey{ino}};
  CO_TRY(auto records, co_await client.fetch(std::move(keys)));
  if (auto* table = std::get_if<RangeLockTable>(&records[0]); table && want.type != kUnlock) {
    for (auto& held : *table) {
      if (is_own(held, client.session(), owner)) continue;
      auto* found = conflict(held.ranges, want);
      if (!found) continue;
      auto answer = *found;
      if (held.sid != client.session()) answer.pid = 0;  // a process of another machine
      co_return answer;
    }
  }
  want.type = kUnlock;
  co_return want;
}

Async<void> set_lock(Client& client, Ino ino, std::uint64_t owner, RangeLock want, bool wait) {
  if (want.type > kUnlock || want.start > want.end) co_return posix(EINVAL);
  LockWish wish{ino, LockKind::record, client.session(), owner, want};
  co_return co_await acquire(client, wish, wait && want.type != kUnlock,
                             [&](Look& look) { return try_set_lock(client, ino, owner, want, look); });
}

Async<void> release_locks(Client& client, Ino ino, std::uint64_t owner, bool flocks) {
  if (flocks) co_return co_await drop_flock(client, ino, owner);
  co_return co_await set_lock(client, ino, owner, {kUnlock, 0, 0, 0x7FFFFFFFFFFFFFFF}, false);
}

}  // namespace kiseki::meta
