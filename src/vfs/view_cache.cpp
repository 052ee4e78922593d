#include "vfs/view_cache.hpp"

namespace kiseki::vfs {

chunk::ChunkViewPtr ViewCache::find(Ino ino, ChunkIndex index) const {
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  auto file = shard.files.find(ino);
  if (file == shard.files.end()) return nullptr;
  auto view = file->second.find(index);
  return view == file->second.end() ? nullptr : view->second;
}

std::uint64_t ViewCache::generation(Ino ino) const {
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  return shard.generations[slot_of(ino)];
}

void ViewCache::insert(Ino ino, ChunkIndex index, chunk::ChunkViewPtr view, std::uint64_t generation) {
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  if (shard.generations[slot_of(ino)] != generation) return;  // changed while it was fetched: do not resurrect
  while (shard.views >= most_per_shard_ && !shard.files.empty()) {
    auto victim = shard.files.begin();
    if (victim->first == ino && shard.files.size() > 1) ++victim;
    shard.views -= victim->second.size();
    shard.files.erase(victim);
  }
  auto [slot, fresh] = shard.files[ino].insert_or_assign(index, std::move(view));
  if (fresh) ++shard.views;
}

void ViewCache::invalidate(Ino ino) {
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  ++shard.generations[slot_of(ino)];
  auto file = shard.files.find(ino);
  if (file == shard.files.end()) return;
  shard.views -= file->second.size();
  shard.files.erase(file);
}

void ViewCache::invalidate(Ino ino, ChunkIndex index) {
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  ++shard.generations[slot_of(ino)];
  auto file = shard.files.find(ino);
  if (file != shard.files.end()) shard.views -= file->second.erase(index);
}

}  // namespace kiseki::vfs
