#pragma once

#include <vector>

#include "object/store.hpp"

namespace kiseki::object {

/// FNV-1a, 32 bits, of a key with its volume prefix: modulo the shard count it names the shard (objects.md 4.5).
std::uint32_t shard_hash(std::string_view key);

/// Keys spread over several stores. Stands below the volume prefix, which is part of what is hashed.
class ShardedStore final : public ObjectStore {
 public:
  explicit ShardedStore(std::vector<StorePtr> shards) : shards_(std::move(shards)) {}

  Async<std::size_t> get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) override;
  Async<void> put(ObjectKey key, Body body) override;
  Async<void> remove(ObjectKey key) override;
  Async<void> remove_all(std::vector<ObjectKey> keys) override;
  Async<ObjectInfo> head(ObjectKey key) override;
  /// All shards merged in key order; a prefix found in several is listed once.
  Async<ObjectPage> list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) override;
  Async<void> create() override;
  std::string describe() const override { return shards_.front()->describe() + " and further shards"; }

 private:
  ObjectStore& shard_of(const ObjectKey& key) const { return *shards_[shard_hash(key) % shards_.size()]; }
  std::vector<StorePtr> shards_;
};

}  // namespace kiseki::object
