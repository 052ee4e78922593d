#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace kiseki {

/// A hash map that several loops share: its keys are spread over shards, each behind a short mutex of its own. The
/// functions given run under one shard's mutex: they must not suspend, block, or come back into the same table.
template <class Key, class Value, std::size_t Shards = 64, class Hash = std::hash<Key>>
class Sharded {
  static_assert(std::has_single_bit(Shards));

 public:
  using Map = std::unordered_map<Key, Value, Hash>;

  /// Calls `f(Map&)` with the part of the table where `key` lives (or would) and returns what it returns.
  template <class F>
  decltype(auto) with(const Key& key, F&& f) {
    auto& shard = shard_of(key);
    std::lock_guard lock(shard.mutex);
    return std::forward<F>(f)(shard.map);
  }
  template <class F>
  decltype(auto) with(const Key& key, F&& f) const {
    auto& shard = shard_of(key);
    std::lock_guard lock(shard.mutex);
    return std::forward<F>(f)(std::as_const(shard.map));
  }

  /// Calls `f(Map&)` for one shard after the other: no snapshot of the whole.
  template <class F>
  void each_shard(F&& f) {
    for (auto& shard : shards_) {
      std::lock_guard lock(shard.mutex);
      f(shard.map);
    }
  }

  std::size_t size() const {
    std::size_t total = 0;
    for (auto& shard : shards_) {
      std::lock_guard lock(shard.mutex);
      total += shard.map.size();
    }
    return total;
  }

 private:
  struct alignas(64) Shard {  // no two share a cache line
    mutable std::mutex mutex;
    Map map;
  };

  static std::size_t index_of(const Key& key) {
    auto h = static_cast<std::uint64_t>(Hash{}(key));
    h = (h ^ (h >> 32)) * 0xD6E8FEB86659FD93u;  // std::hash of an integer is the integer: spread it
    return static_cast<std::size_t>(h >> 32) & (Shards - 1);
  }
  Shard& shard_of(const Key& key) { return shards_[index_of(key)]; }
  const Shard& shard_of(const Key& key) const { return shards_[index_of(key)]; }

  std::array<Shard, Shards> shards_;
};

}  // namespace kiseki
