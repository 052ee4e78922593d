#include "object/sharded_store.hpp"

#include <algorithm>
#include <iterator>

namespace kiseki::object {

std::uint32_t shard_hash(std::string_view key) {
  std::uint32_t hash = 2166136261u;
  for (char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash;
}

Async<std::size_t> ShardedStore::get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) {
  auto& shard = shard_of(key);
  return shard.get(std::move(key), offset, into);
}
Async<void> ShardedStore::put(ObjectKey key, Body body) {
  auto& shard = shard_of(key);
  return shard.put(std::move(key), std::move(body));
}
Async<void> ShardedStore::remove(ObjectKey key) {
  auto& shard = shard_of(key);
  return shard.remove(std::move(key));
}

Async<void> ShardedStore::remove_all(std::vector<ObjectKey> keys) {
  std::vector<std::vector<ObjectKey>> of_shard(shards_.size());
  for (auto& key : keys) of_shard[shard_hash(key) % shards_.size()].push_back(std::move(key));
  Result<void> last;
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    if (of_shard[i].empty()) continue;
    auto removed = co_await shards_[i]->remove_all(std::move(of_shard[i]));
    if (!removed) last = removed;
  }
  co_return last;
}

Async<ObjectInfo> ShardedStore::head(ObjectKey key) {
  auto& shard = shard_of(key);
  return shard.head(std::move(key));
}

Async<ObjectPage> ShardedStore::list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) {
  ObjectPage all;
  for (const auto& shard : shards_) {
    CO_TRY(auto page, co_await shard->list(prefix, after, limit, delimiter));
    std::move(page.objects.begin(), page.objects.end(), std::back_inserter(all.objects));
    all.more |= page.more;
  }
  auto& objects = all.objects;
  std::sort(objects.begin(), objects.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  auto same = [](const auto& a, const auto& b) { return a.key == b.key; };
  objects.erase(std::unique(objects.begin(), objects.end(), same), objects.end());
  // Each shard gave its first `limit`, so the first `limit` of the union are right; what follows is asked for again.
  if (objects.size() > limit) {
    objects.resize(limit);
    all.more = true;
  }
  co_return all;
}

Async<void> ShardedStore::create() {
  for (const auto& shard : shards_) CO_CHECK(co_await shard->create());
  co_return Result<void>{};
}

}  // namespace kiseki::object
