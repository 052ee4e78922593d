#include "vfs/nameless.hpp"

namespace kiseki::vfs {

void NamelessAttrs::add(Ino ino, const meta::Attr& attr) {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  if (shard.inodes.size() < kMostPerShard) shard.inodes.insert_or_assign(ino, attr);
}

std::optional<meta::Attr> NamelessAttrs::find(Ino ino) const {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  auto it = shard.inodes.find(ino);
  return it == shard.inodes.end() ? std::nullopt : std::optional(it->second);
}

void NamelessAttrs::forget(Ino ino) {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  shard.inodes.erase(ino);
}

}  // namespace kiseki::vfs
