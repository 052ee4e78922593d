#pragma once

#include "core/async.hpp"
#include "object/store.hpp"

namespace kiseki::object {

/// At most so many uploads and downloads at once (--max-uploads, --max-downloads); the rest wait in order.
class LimitedStore final : public ObjectStore {
 public:
  LimitedStore(StorePtr inner, std::size_t uploads, std::size_t downloads)
      : inner_(std::move(inner)), uploads_(uploads), downloads_(downloads) {}

  Async<std::size_t> get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) override;
  Async<void> put(ObjectKey key, Body body) override;
  Async<void> remove(ObjectKey key) override { return inner_->remove(std::move(key)); }
  Async<ObjectInfo> head(ObjectKey key) override { return inner_->head(std::move(key)); }
  Async<ObjectPage> list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) override {
    return inner_->list(std::move(prefix), std::move(after), limit, std::move(delimiter));
  }
  Async<void> create() override { return inner_->create(); }
  std::string describe() const override { return inner_->describe(); }

 private:
  StorePtr inner_;
  Semaphore uploads_, downloads_;
};

}  // namespace kiseki::object
