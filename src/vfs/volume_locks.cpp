// Locks: flock and fcntl, asked for and let go.
#include <cerrno>

#include "vfs/internal_files.hpp"
#include "vfs/volume.hpp"

namespace kiseki::vfs {

namespace {

constexpr std::uint32_t kUnlock = 2;  // F_UNLCK as the kernel passes it

}  // namespace

template <class T>
Answer<T> Volume::after_releases(Ino ino, Async<T> locking) {
  if (!lock_releases_.any(ino)) return locking;
  return [](LockReleases& releases, Ino released, Async<T> then) -> Async<T> {
    CO_CHECK(co_await releases.gone(released));
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
    if (auto handle = files_.find(id)) handle->lock_owners.add(owner);
  }
  meta::RangeLock want{.type = range.type, .pid = range.pid, .start = range.start, .end = range.end};
  return after_releases(inside(kernel), meta::set_lock(client_, inside(kernel), owner, want, wait));
}

Answer<void> Volume::flock(Caller, Ino kernel, HandleId id, std::uint64_t owner, std::uint32_t type, bool wait) {
  if (is_internal(kernel)) return posix(EINVAL);
  if (auto handle = files_.find(id)) handle->has_flock = type != kUnlock;
  return after_releases(inside(kernel), meta::flock(client_, inside(kernel), owner, type, wait));
}

}  // namespace kiseki::vfs
