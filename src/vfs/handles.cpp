#include "vfs/handles.hpp"

namespace kiseki::vfs {

void OpenTable::add(Ino ino) {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  ++shard.inodes[ino].opens;
}

bool OpenTable::remove(Ino ino) {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  auto it = shard.inodes.find(ino);
  if (it == shard.inodes.end() || --it->second.opens > 0) return false;
  bool unlinked = it->second.unlinked;
  shard.inodes.erase(it);
  return unlinked;
}

bool OpenTable::contains(Ino ino) const {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  return shard.inodes.contains(ino);
}

void OpenTable::mark_unlinked(Ino ino) {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  if (auto it = shard.inodes.find(ino); it != shard.inodes.end()) it->second.unlinked = true;
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

namespace {
std::uint64_t version_of(const meta::Attr& attr) {
  auto mix = [](std::uint64_t a, std::uint64_t b) { return (a ^ b) * 0x9E3779B97F4A7C15u; };
  return mix(mix(static_cast<std::uint64_t>(attr.mtime.sec), attr.mtime.nsec), attr.length) | 1u;
}
}  // namespace

// Two opens racing on one slot may interleave the two stores; then neither matches and the cache is dropped once more.
bool PageCacheVersions::still_current(Ino ino, const meta::Attr& attr) {
  auto& slot = slot_of(ino);
  auto version = version_of(attr) ^ ino.value;
  bool same = slot.ino.load() == ino.value && slot.version.load() == version;
  if (!same) {
    slot.version.store(version);
    slot.ino.store(ino.value);
  }
  return same;
}

void PageCacheVersions::forget(Ino ino) {
  auto& slot = slot_of(ino);
  if (slot.ino.load() == ino.value) slot.version.store(0);
}

}  // namespace kiseki::vfs
