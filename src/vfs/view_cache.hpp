#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <unordered_map>

#include "chunk/chunk_view.hpp"
#include "core/ids.hpp"

namespace kiseki::vfs {

/// Resolved slice lists of chunks lately read, bounded by count. Any thread.
class ViewCache {
 public:
  explicit ViewCache(std::size_t most_views) : most_per_shard_(std::max<std::size_t>(1, most_views / kShards)) {}

  chunk::ChunkViewPtr find(Ino ino, ChunkIndex index) const;
  /// Changes with every invalidation of the file (and of some others): taken before a fetch, it tells whether what was
  /// fetched may still be kept.
  std::uint64_t generation(Ino ino) const;
  void insert(Ino ino, ChunkIndex index, chunk::ChunkViewPtr view, std::uint64_t generation);
  void invalidate(Ino ino);
  void invalidate(Ino ino, ChunkIndex index);

 private:
  static constexpr std::size_t kShards = 16, kGenerations = 64;
  struct Shard {
    mutable std::mutex mutex;  // guards files and views
    std::unordered_map<Ino, std::map<ChunkIndex, chunk::ChunkViewPtr>> files;
    std::size_t views = 0;
    std::array<std::uint64_t, kGenerations> generations{};
  };
  Shard& shard_of(Ino ino) const { return shards_[std::hash<Ino>()(ino) >> 60]; }
  static std::size_t slot_of(Ino ino) { return (std::hash<Ino>()(ino) >> 40) % kGenerations; }

  std::size_t most_per_shard_;
  mutable std::array<Shard, kShards> shards_;
};

}  // namespace kiseki::vfs
