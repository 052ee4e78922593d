#include <optional>
#include <random>

#include "core/async.hpp"
#include "core/guard.hpp"
#include "meta/lock_queues.hpp"
#include "meta/ops/common.hpp"
#include "meta/ops/range_locks.hpp"

namespace kiseki::meta {

using namespace op;

namespace {

Async<void> wait_for(Signal& signal, std::uint64_t ticket) {
  co_await signal.wait(ticket);
  co_return done();
}

/// Until an unlock of this process, or for a while: another client's unlock is not heard of. Errors: EINTR.
Async<void> wait_for_unlock(Client& client, Ino ino, std::uint64_t ticket, int tries) {
  thread_local std::minstd_rand random(std::random_device{}());
  auto most = std::min(100 << std::min(tries, 4), 1000);
  auto budget = std::chrono::milliseconds(std::uniform_int_distribution<int>(most / 2, most)(random));
  auto woken = co_await with_timeout(budget, wait_for(client.lock_queues().of(ino), ticket));
  if (!woken && woken.error() == posix(ECANCELED)) co_return posix(EINTR);
  co_return done();
}

/// What stands in the way of a lock.
struct InTheWay {
  bool ask = false;  ///< whether its session still lives
  std::uint64_t waiter = 0;
  std::optional<std::uint64_t> holder{};  ///< of this mount; none: it is another client's, or a flock
};

/// Errors: EDEADLK when `way.holder` waits for us.
Async<void> wait_for_holder(Client& client, Ino ino, InTheWay way, std::uint64_t ticket, int tries) {
  if (!way.holder) co_return co_await wait_for_unlock(client, ino, ticket, tries);
  auto& queues = client.lock_queues();
  auto verdict = queues.waits().begin(way.waiter, *way.holder, ino, queues.of(ino), ticket);
  if (verdict == LockWaits::Verdict::deadlock) co_return posix(EDEADLK);
  Guard waited([&] { queues.waits().end(way.waiter, *way.holder, ino); });
  co_return co_await wait_for_unlock(client, ino, ticket, tries);
}

/// Tries until it is granted, waiting in between if told to. `attempt` answers EAGAIN while someone is in the way, and
/// says who.
template <class Attempt>
Async<void> acquire(Client& client, Ino ino, bool wait, Attempt attempt) {
  constexpr int kAskEvery = 8;
  for (int tries = 0;; ++tries) {
    auto ticket = client.lock_queues().of(ino).ticket();
    InTheWay way{.ask = tries % kAskEvery == 0};
    Result<void> taken = co_await attempt(way);
    if (taken || taken.error() != posix(EAGAIN) || !wait) co_return taken;
    CO_CHECK(co_await wait_for_holder(client, ino, way, ticket, tries));
  }
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

Async<void> try_flock(Client& client, Ino ino, std::uint64_t owner, bool exclusive, bool ask) {
  co_return co_await transact<void>(client, [&](Txn& txn) -> Async<void> {
    FileLocksKey key{ino};
    CO_CHECK(co_await need_inode(txn, ino, key));
    auto sid = client.session();
    for (auto& held : txn.get_or<FileLocks>(key, {})) {
      bool own = held.sid == sid && held.owner == owner;
      if (own || (!exclusive && !held.exclusive)) continue;
      CO_CHECK(co_await need_gone(txn, held.sid, ask));
      txn.write(EraseFileLock{ino, held.sid, held.owner});
    }
    txn.check(Key(key));
    txn.write(PutFileLock{ino, {sid, owner, exclusive}});
    co_return done();
  });
}

Async<void> drop_flock(Client& client, Ino ino, std::uint64_t owner) {
  Commit commit;
  commit.writes.push_back(EraseFileLock{ino, client.session(), owner});
  CO_TRY(auto outcome, co_await client.commit(std::move(commit)));
  client.lock_queues().unlocked(ino);
  co_return outcome.applied ? done() : Result<void>(posix(EIO));
}

bool is_own(const RangeLocks& locks, SessionId sid, std::uint64_t owner) {
  return locks.sid == sid && locks.owner == owner;
}

Async<void> try_set_lock(Client& client, Ino ino, std::uint64_t owner, RangeLock want, InTheWay& way) {
  co_return co_await transact<void>(client, [&](Txn& txn) -> Async<void> {
    way = {way.ask, owner, {}};
    RangeLocksKey key{ino};
    if (want.type == kUnlock) {
      CO_CHECK(co_await txn.load(key));  // also of an inode that is gone
    } else {
      CO_CHECK(co_await need_inode(txn, ino, key));
    }
    auto sid = client.session();
    RangeLocks own{sid, owner, {}};
    for (auto& held : txn.get_or<RangeLockTable>(key, {})) {
      if (is_own(held, sid, owner)) {
        own = held;
      } else if (want.type != kUnlock && conflict(held.ranges, want)) {
        if (held.sid == sid) way.holder = held.owner;
        CO_CHECK(co_await need_gone(txn, held.sid, way.ask));
        txn.write(PutRangeLocks{ino, {held.sid, held.owner, {}}});
      }
    }
    auto after = with_lock(own.ranges, want);
    if (after == own.ranges) co_return done();
    own.ranges = std::move(after);
    txn.check(Key(key));
    txn.write(PutRangeLocks{ino, std::move(own)});
    co_return done();
  });
}

}  // namespace

Async<void> flock(Client& client, Ino ino, std::uint64_t owner, std::uint32_t type, bool wait) {
  if (type > kUnlock) co_return posix(EINVAL);
  if (type == kUnlock) co_return co_await drop_flock(client, ino, owner);
  auto taken = co_await acquire(
      client, ino, wait, [&](InTheWay& way) { return try_flock(client, ino, owner, type == kWriteLock, way.ask); });
  if (taken && type == kReadLock) client.lock_queues().unlocked(ino);  // it may have been exclusive before
  co_return taken;
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
  auto taken = co_await acquire(client, ino, wait && want.type != kUnlock,
                                [&](InTheWay& way) { return try_set_lock(client, ino, owner, want, way); });
  if (taken && want.type != kWriteLock) client.lock_queues().unlocked(ino);
  co_return taken;
}

Async<void> release_locks(Client& client, Ino ino, std::uint64_t owner, bool flocks) {
  if (flocks) co_return co_await drop_flock(client, ino, owner);
  co_return co_await set_lock(client, ino, owner, {kUnlock, 0, 0, 0x7FFFFFFFFFFFFFFF}, false);
}

}  // namespace kiseki::meta
