#include "vfs/view_cache.hpp"

namespace kiseki::vfs {

chunk::ChunkViewPtr ViewCache::find(Ino ino, ChunkIndex index, const FileVersion& version) const {
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  auto file = shard.files.find(ino);
  if (file == shard.files.end() || file->second.version != version) return nullptr;
  auto view = file->second.views.find(index);
  return view == file->second.views.end() ? nullptr : view->second;
}

std::uint64_t ViewCache::generation(Ino ino) const {
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  return shard.generations[slot_of(ino)];
}

namespace {
constexpr std::size_t kEntryBytes = 128;  // of one view in the maps
std::size_t bytes_of(const chunk::ChunkViewPtr& view) { return kEntryBytes + view->bytes(); }
}  // namespace

void ViewCache::drop(Shard& shard, Files::iterator file) {
  shard.bytes -= file->second.bytes;
  shard.files.erase(file);
}

void ViewCache::drop(Shard& shard, Files::iterator file, ChunkIndex index) {
  auto view = file->second.views.find(index);
  if (view == file->second.views.end()) return;
  auto bytes = bytes_of(view->second);
  file->second.views.erase(view);
  file->second.bytes -= bytes;
  shard.bytes -= bytes;
  if (file->second.views.empty()) shard.files.erase(file);
}

void ViewCache::insert(Ino ino, ChunkIndex index, chunk::ChunkViewPtr view, const FileVersion& version,
                       std::uint64_t generation) {
  auto& shard = shard_of(ino);
  auto bytes = bytes_of(view);
  if (bytes > most_per_shard_) return;
  std::lock_guard lock(shard.mutex);
  if (shard.generations[slot_of(ino)] != generation) return;  // changed while it was fetched: do not resurrect
  auto file = shard.files.find(ino);
  if (file != shard.files.end() && file->second.version != version) drop(shard, file);
  if (file = shard.files.find(ino); file != shard.files.end()) drop(shard, file, index);
  while (shard.bytes + bytes > most_per_shard_) {
    auto victim = shard.files.begin();
    if (victim->first == ino && shard.files.size() > 1) ++victim;
    drop(shard, victim);
  }
  auto& kept = shard.files[ino];
  kept.version = version;
  kept.views.emplace(index, std::move(view));
  kept.bytes += bytes;
  shard.bytes += bytes;
}

void ViewCache::invalidate(Ino ino) {
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  ++shard.generations[slot_of(ino)];
  if (auto file = shard.files.find(ino); file != shard.files.end()) drop(shard, file);
}

void ViewCache::invalidate(Ino ino, ChunkIndex index) {
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  ++shard.generations[slot_of(ino)];
  if (auto file = shard.files.find(ino); file != shard.files.end()) drop(shard, file, index);
}

}  // namespace kiseki::vfs
