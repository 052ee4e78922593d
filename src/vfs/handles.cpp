#include "vfs/handles.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

namespace kiseki::vfs {

void LockOwners::add(std::uint64_t owner) {
  std::lock_guard hold(guard_);
  if (std::find(owners_.begin(), owners_.end(), owner) == owners_.end()) owners_.push_back(owner);
}

void LockOwners::remove(std::uint64_t owner) {
  std::lock_guard hold(guard_);
  std::erase(owners_, owner);
}

std::vector<std::uint64_t> LockOwners::take() {
  std::lock_guard hold(guard_);
  return std::exchange(owners_, {});
}

void BusyInodes::begin(Ino ino) {
  std::lock_guard hold(guard_);
  ++busy_[ino];
  ++count_;
}

void BusyInodes::end(Ino ino) {
  {
    std::lock_guard hold(guard_);
    if (--busy_[ino] == 0) busy_.erase(ino);
    --count_;
  }
  changed_.notify_all();
}

bool BusyInodes::any(Ino ino) const {
  if (count_ == 0) return false;
  std::lock_guard hold(guard_);
  return busy_.contains(ino);
}

Async<void> BusyInodes::changed(std::uint64_t ticket) {
  co_await changed_.wait(ticket);
  co_return Result<void>{};
}

Async<void> BusyInodes::gone(Ino ino) {
  constexpr auto kLookAgain = std::chrono::seconds(1);
  for (;;) {
    auto ticket = changed_.ticket();
    if (!any(ino)) co_return Result<void>{};
    auto woken = co_await with_timeout(kLookAgain, changed(ticket));
    if (!woken && woken.error() == posix(ECANCELED)) co_return posix(EINTR);
  }
}

void OpenTable::add(Ino ino) {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  ++shard.inodes[ino].opens;
}

OpenTable::Left OpenTable::remove(Ino ino) {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  auto it = shard.inodes.find(ino);
  if (it == shard.inodes.end() || --it->second.opens > 0) return Left::others;
  auto left = it->second.unlinked ? Left::none_nameless : Left::none;
  shard.inodes.erase(it);
  return left;
}

bool OpenTable::contains(Ino ino) const {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  return shard.inodes.contains(ino);
}

bool OpenTable::mark_unlinked(Ino ino, Fate fate) {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  auto it = shard.inodes.find(ino);
  if (it == shard.inodes.end()) return false;
  if (fate == Fate::erased) it->second.erased = true;
  return it->second.unlinked = true;
}

bool OpenTable::erased(Ino ino) const {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  auto it = shard.inodes.find(ino);
  return it != shard.inodes.end() && it->second.erased;
}

void OpenTable::mark_range_locked(Ino ino) {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  if (auto it = shard.inodes.find(ino); it != shard.inodes.end()) it->second.range_locked = true;
}

bool OpenTable::range_locked(Ino ino) const {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  auto it = shard.inodes.find(ino);
  return it != shard.inodes.end() && it->second.range_locked;
}

std::vector<Ino> OpenTable::unlinked() const {
  std::vector<Ino> found;
  for (auto& shard : shards_) {
    std::lock_guard hold(shard.guard);
    for (auto& [ino, state] : shard.inodes)
      if (state.unlinked) found.push_back(ino);
  }
  return found;
}

}  // namespace kiseki::vfs
