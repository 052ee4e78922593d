#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <unordered_map>

#include "chunk/chunk_view.hpp"
#include "core/ids.hpp"
#include "vfs/data.hpp"

namespace kiseki::vfs {

/// Resolved slice lists of chunks lately read, of one version of each file, bounded in bytes. They are as new as their
/// version or newer: it was known before the list was read. Any thread.
class ViewCache {
 public:
  explicit ViewCache(std::size_t most_bytes) : most_per_shard_(most_bytes / kShards) {}

  chunk::ChunkViewPtr find(Ino ino, ChunkIndex index, const FileVersion& version) const;
  /// Changes with every invalidation of the file (and of some others): taken before a fetch, it tells whether what was
  /// fetched may still be kept.
  std::uint64_t generation(Ino ino) const;
  void insert(Ino ino, ChunkIndex index, chunk::ChunkViewPtr view, const FileVersion& version,
              std::uint64_t generation);
  void invalidate(Ino ino);
  void invalidate(Ino ino, ChunkIndex index);

 private:
  static constexpr std::size_t kShards = 16, kGenerations = 64;
  struct File {
    FileVersion version;
    std::size_t bytes = 0;
    std::map<ChunkIndex, chunk::ChunkViewPtr> views;
  };
  using Files = std::unordered_map<Ino, File>;
  struct Shard {
    mutable std::mutex mutex;  // guards what follows
    Files files;
    std::size_t bytes = 0;
    std::array<std::uint64_t, kGenerations> generations{};
  };
  static void drop(Shard& shard, Files::iterator file);
  static void drop(Shard& shard, Files::iterator file, ChunkIndex index);
  Shard& shard_of(Ino ino) const { return shards_[std::hash<Ino>()(ino) >> 60]; }
  static std::size_t slot_of(Ino ino) { return (std::hash<Ino>()(ino) >> 40) % kGenerations; }

  std::size_t most_per_shard_;  // bytes
  mutable std::array<Shard, kShards> shards_;
};

}  // namespace kiseki::vfs
