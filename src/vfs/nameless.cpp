#include "vfs/nameless.hpp"

#include <cerrno>

#include "meta/attr_fields.hpp"

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

Result<meta::Attr> NamelessAttrs::change(Ino ino, const meta::AttrChange& change, Timestamp now) {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  auto it = shard.inodes.find(ino);
  if (it == shard.inodes.end()) return posix(ENOENT);
  auto& attr = it->second;
  meta::set_fields(attr, change.to, change.set);
  if (change.atime_now) attr.atime = now;
  if (change.mtime_now) attr.mtime = now;
  attr.ctime = now;
  return attr;
}

void NamelessAttrs::renew(Ino ino, const meta::Attr& attr) {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  if (auto it = shard.inodes.find(ino); it != shard.inodes.end()) it->second = attr;
}

void NamelessAttrs::forget(Ino ino) {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  shard.inodes.erase(ino);
}

void LeftOpen::add(Ino ino) {
  std::lock_guard hold(guard_);
  inodes_.insert(ino);
  count_ = inodes_.size();
}

bool LeftOpen::contains(Ino ino) {
  if (count_ == 0) return false;
  std::lock_guard hold(guard_);
  return inodes_.contains(ino);
}

bool LeftOpen::take(Ino ino) {
  if (count_ == 0) return false;
  std::lock_guard hold(guard_);
  bool there = inodes_.erase(ino) > 0;
  count_ = inodes_.size();
  return there;
}

}  // namespace kiseki::vfs
