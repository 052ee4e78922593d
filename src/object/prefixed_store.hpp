#pragma once

#include <string>

#include "object/store.hpp"

namespace kiseki::object {

/// A part of a bucket: every key stands below `prefix` (a volume's name and '/').
class PrefixedStore final : public ObjectStore {
 public:
  PrefixedStore(StorePtr inner, std::string prefix) : inner_(std::move(inner)), prefix_(std::move(prefix)) {}

  Async<std::size_t> get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) override;
  Async<void> put(ObjectKey key, Body body) override;
  Async<void> remove(ObjectKey key) override;
  Async<void> remove_all(std::vector<ObjectKey> keys) override;
  Async<ObjectInfo> head(ObjectKey key) override;
  Async<ObjectPage> list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) override;
  Async<void> create() override { return inner_->create(); }
  std::string describe() const override { return inner_->describe() + prefix_; }

 private:
  StorePtr inner_;
  std::string prefix_;
};

}  // namespace kiseki::object
