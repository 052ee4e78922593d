// Locks: flock and fcntl, asked for and let go.
#include <algorithm>
#include <cerrno>
#include <chrono>

#include "core/guard.hpp"
#include "core/log.hpp"
#include "vfs/internal_files.hpp"
#include "vfs/volume.hpp"

namespace kiseki::vfs {

namespace {

constexpr std::uint32_t kShared = 0, kUnlock = 2;     // F_RDLCK and F_UNLCK as the kernel passes them
constexpr auto kMostWait = std::chrono::seconds(30);  // for releases: as long as a request waits for a server
constexpr std::size_t kMostLate = 10'000;             // releases tried again at a time
constexpr auto kFirstRetry = std::chrono::milliseconds(100), kLastRetry = std::chrono::milliseconds(5000);

Async<void> after(Async<void> settling, Async<void> locking) {
  CO_CHECK(co_await std::move(settling));
  co_return co_await std::move(locking);
}

}  // namespace

asio::awaitable<void> Volume::release_locks(Ino ino, std::uint64_t owner, bool flocks) {
  auto released = co_await meta::release_locks(client_, ino, owner, flocks);
  if (released) co_return;
  bool again = late_releases_.running() < kMostLate;
  log::warn(
      "volume.release_locks",
      {{"inode", ino.value}, {"error", released.error()}, {"next", again ? "tried again" : "held until unmount"}});
  if (!again) co_return;
  lock_releases_.begin(ino);  // a lock the owner takes meanwhile must not go with it
  late_releases_.spawn(release_late(ino, owner, flocks));
}

asio::awaitable<void> Volume::release_late(Ino ino, std::uint64_t owner, bool flocks) {
  auto released = Guard([this, ino] { lock_releases_.end(ino); });
  for (auto wait = kFirstRetry;; wait = std::min(2 * wait, kLastRetry)) {
    co_await sleep_for(wait);
    if (co_await meta::release_locks(client_, ino, owner, flocks)) co_return;
  }
}

template <class T>
Answer<T> Volume::after_releases(Ino ino, Async<T> locking) {
  if (!lock_releases_.any(ino)) return locking;
  return [](BusyInodes& releases, Ino released, Async<T> then) -> Async<T> {
    CO_CHECK(co_await with_timeout(kMostWait, releases.gone(released)));
    co_return co_await std::move(then);
  }(lock_releases_, ino, std::move(locking));
}

Answer<LockRange> Volume::getlk(Caller, Ino kernel, HandleId, std::uint64_t owner, LockRange range) {
  if (is_internal(kernel)) return posix(EINVAL);
  meta::RangeLock want{.type = range.type, .pid = range.pid, .start = range.start, .end = range.end};
  auto asking = [](meta::Client& client, Ino ino, std::uint64_t holder, meta::RangeLock wanted) -> Async<LockRange> {
    CO_TRY(auto found, co_await meta::get_lock(client, ino, holder, wanted));
    co_return LockRange{.start = found.start, .end = found.end, .type = found.type, .pid = found.pid};
  }(client_, inside(kernel), owner, want);
  return after_releases(inside(kernel), std::move(asking));
}

Answer<void> Volume::setlk(Caller, Ino kernel, HandleId id, std::uint64_t owner, LockRange range, bool wait) {
  if (is_internal(kernel)) return posix(EINVAL);
  if (range.type != kUnlock) {
    open_inodes_.mark_range_locked(inside(kernel));
    if (auto handle = file_of(inside(kernel), id)) handle->lock_owners.add(owner);
  }
  meta::RangeLock want{.type = range.type, .pid = range.pid, .start = range.start, .end = range.end};
  Ino ino = inside(kernel);
  auto locking = meta::set_lock(client_, ino, owner, want, wait);
  if (range.type == kShared && data_.dirty(ino)) locking = after(settle(ino), std::move(locking));
  return after_releases(ino, lock_slow(ino, range.type == kUnlock, std::move(locking)));
}

Answer<void> Volume::flock(Caller, Ino kernel, HandleId id, std::uint64_t owner, std::uint32_t type, bool wait) {
  if (is_internal(kernel)) return posix(EINVAL);
  if (auto handle = file_of(inside(kernel), id)) handle->has_flock = type != kUnlock;
  Ino ino = inside(kernel);
  auto locking = meta::flock(client_, ino, owner, type, wait);
  if (type == kShared && data_.dirty(ino)) locking = after(settle(ino), std::move(locking));
  return after_releases(ino, lock_slow(ino, type == kUnlock, std::move(locking)));
}

// What was written under a lock is there for whoever gets it next, or shares it, and who gets it sees all that was
// there before.
Async<void> Volume::lock_slow(Ino ino, bool unlocks, Async<void> locking) {
  Result<void> written;
  if (unlocks) co_await asio::this_coro::throw_if_cancelled(false);  // a signal keeps nobody from letting go
  if (unlocks && data_.dirty(ino)) written = co_await settle(ino);
  CO_CHECK(co_await std::move(locking));
  co_await asio::this_coro::throw_if_cancelled(false);  // it is decided
  if (!unlocks && client_.engine().lags()) {
    (void)co_await client_.engine().catch_up();  // it is ours, whatever becomes of this
    if (auto* kernel = kernel_.load()) kernel->forget_attr(outside(ino));
  }
  co_return written;
}

}  // namespace kiseki::vfs
