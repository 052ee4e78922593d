#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>

namespace kiseki::meta {

/// A hash map whose least recently used values can be given up: each carries a "touched" bit, and a hand that sweeps
/// the buckets spares what was touched since it last came by. Values of an older generation count as absent. Not
/// thread-safe. `Hash` and `Equal` are transparent: looking up needs no owned key.
template <class Key, class Value, class Hash, class Equal>
class ClockTable {
 public:
  template <class View>
  Value* find(const View& key, std::uint32_t generation) {
    auto it = map_.find(key);
    if (it == map_.end() || it->second.generation != generation) return nullptr;
    it->second.touched = true;
    return &it->second.value;
  }
  /// True when the table grew by one.
  bool put(Key key, Value value, std::uint32_t generation) {
    auto [it, added] = map_.try_emplace(std::move(key));
    it->second = Slot{std::move(value), generation, false};
    return added;
  }
  template <class View>
  bool erase(const View& key) {
    auto it = map_.find(key);
    if (it == map_.end()) return false;
    map_.erase(it);
    return true;
  }
  /// Gives up one value and returns its key; nothing when the table is empty.
  std::optional<Key> evict() {
    if (map_.empty()) return std::nullopt;
    for (std::size_t bucket = hand_;; ++bucket) {
      if (bucket >= map_.bucket_count()) bucket = 0;
      for (auto it = map_.begin(bucket); it != map_.end(bucket); ++it) {
        if (std::exchange(it->second.touched, false)) continue;
        hand_ = bucket;
        auto node = map_.extract(it->first);
        return std::move(node.key());
      }
    }
  }
  std::size_t size() const { return map_.size(); }

 private:
  struct Slot {
    Value value{};
    std::uint32_t generation = 0;
    bool touched = false;
  };
  std::unordered_map<Key, Slot, Hash, Equal> map_;
  std::size_t hand_ = 0;
};

}  // namespace kiseki::meta
