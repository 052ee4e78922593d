#pragma once

#include <cstdint>
#include <mutex>

#include "core/async.hpp"
#include "object/rate_limit.hpp"
#include "object/store.hpp"

namespace kiseki::object {

/// How much a mount asks of its store at once.
struct Limits {
  std::size_t uploads = 20, downloads = 200;  ///< --max-uploads, --max-downloads
  std::shared_ptr<Rates> rates = {};          ///< null: as fast as it goes
};

/// Permits for one direction. A store that says it is asked too much halves their number, at most once a second; each
/// round of successes gives one back, up to what is configured (AIMD).
class AdaptiveGate {
 public:
  explicit AdaptiveGate(std::size_t most) : most_(most), now_(most), permits_(most) {}
  asio::awaitable<Semaphore::Permit> enter() { return permits_.acquire(); }
  void report(std::error_code outcome);  ///< of a request that held a permit
  std::size_t allowed() const;

 private:
  const std::size_t most_;
  mutable std::mutex mutex_;  // guards the next three
  std::size_t now_, successes_ = 0;
  std::int64_t halved_at_ns_ = 0;
  Semaphore permits_;
};

/// At most so many uploads and downloads at once, and so many bytes a second; the rest wait in order.
class LimitedStore final : public ObjectStore {
 public:
  LimitedStore(StorePtr inner, const Limits& limits)
      : inner_(std::move(inner)),
        uploads_(limits.uploads),
        downloads_(limits.downloads),
        rates_(limits.rates ? limits.rates : std::make_shared<Rates>()) {}

  Async<std::size_t> get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) override;
  Async<void> put(ObjectKey key, Body body) override;
  Async<void> remove(ObjectKey key) override { return inner_->remove(std::move(key)); }
  Async<void> remove_all(std::vector<ObjectKey> keys) override { return inner_->remove_all(std::move(keys)); }
  Async<ObjectInfo> head(ObjectKey key) override { return inner_->head(std::move(key)); }
  Async<ObjectPage> list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) override {
    return inner_->list(std::move(prefix), std::move(after), limit, std::move(delimiter));
  }
  Async<void> create() override { return inner_->create(); }
  std::string describe() const override { return inner_->describe(); }

 private:
  StorePtr inner_;
  AdaptiveGate uploads_, downloads_;
  std::shared_ptr<Rates> rates_;
};

}  // namespace kiseki::object
