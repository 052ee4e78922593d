#pragma once

#include <chrono>

#include "object/store.hpp"

namespace kiseki::object {

/// How long one try of a request may take, once it has begun; 0: without end.
struct TryTimeouts {
  std::chrono::milliseconds put{0};  ///< also for remove
  std::chrono::milliseconds get{0};  ///< also for head and list
};

/// Ends tries that take too long, with ETIMEDOUT. Stands below the limits, so that a request which waits for its turn
/// or for bandwidth does not use its time up.
class TimedStore final : public ObjectStore {
 public:
  TimedStore(StorePtr inner, TryTimeouts timeouts) : inner_(std::move(inner)), timeouts_(timeouts) {}

  Async<std::size_t> get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) override;
  Async<void> put(ObjectKey key, Body body) override;
  Async<void> remove(ObjectKey key) override;
  Async<void> remove_all(std::vector<ObjectKey> keys) override;
  Async<ObjectInfo> head(ObjectKey key) override;
  Async<ObjectPage> list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) override;
  Async<void> create() override { return inner_->create(); }
  std::string describe() const override { return inner_->describe(); }

 private:
  StorePtr inner_;
  TryTimeouts timeouts_;
};

}  // namespace kiseki::object
