#pragma once

#include <mutex>

#include "object/store.hpp"

namespace kiseki::object {

/// A bucket that may become another one, or be reached with other keys, while it is in use: requests from now on go to
/// the store given last; what an earlier one has begun it ends, and then it goes. Any thread.
class ReplaceableStore final : public ObjectStore {
 public:
  explicit ReplaceableStore(StorePtr first) : current_(std::move(first)) {}
  void replace(StorePtr next);

  Async<std::size_t> get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) override;
  Async<void> put(ObjectKey key, Body body) override;
  Async<void> remove(ObjectKey key) override;
  Async<void> remove_all(std::vector<ObjectKey> keys) override;
  Async<ObjectInfo> head(ObjectKey key) override;
  Async<ObjectPage> list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) override;
  Async<void> create() override;
  std::string describe() const override { return current()->describe(); }

 private:
  StorePtr current() const;

  mutable std::mutex mutex_;
  StorePtr current_;
};

}  // namespace kiseki::object
