#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>

#include "object/store.hpp"

namespace kiseki::object {

/// How long requests took of late, as far as a percentile needs it: counts in steps of a quarter, older ones fading.
/// Thread-safe.
class LatencyBook {
 public:
  void add(std::chrono::nanoseconds took);
  /// Which time a share (0..1) of the requests stayed under; nothing before there were a hundred.
  std::optional<std::chrono::nanoseconds> percentile(double share) const;

 private:
  static constexpr std::size_t kSteps = 72;  // 50 us to several minutes
  static std::size_t step_of(std::chrono::nanoseconds took);
  static std::chrono::nanoseconds upper_end(std::size_t step);
  mutable std::mutex mutex_;  // guards the rest
  std::array<std::uint32_t, kSteps> counts_{};
  std::uint32_t total_ = 0;
};

/// Reads again what takes longer than nearly all reads do (--hedge-after p99) and takes whichever comes first. Second
/// reads are at most one in twenty and four at a time; each needs memory of its own for what it reads, outside
/// --buffer-size, at most 4 blocks. Objects are immutable, so both answers are the same.
class HedgedStore final : public ObjectStore {
 public:
  HedgedStore(StorePtr inner, double percentile) : inner_(std::move(inner)), percentile_(percentile) {}

  Async<std::size_t> get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) override;
  Async<void> put(ObjectKey key, Body body) override { return inner_->put(std::move(key), std::move(body)); }
  Async<void> remove(ObjectKey key) override { return inner_->remove(std::move(key)); }
  Async<void> remove_all(std::vector<ObjectKey> keys) override { return inner_->remove_all(std::move(keys)); }
  Async<ObjectInfo> head(ObjectKey key) override { return inner_->head(std::move(key)); }
  Async<ObjectPage> list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) override {
    return inner_->list(std::move(prefix), std::move(after), limit, std::move(delimiter));
  }
  Async<void> create() override { return inner_->create(); }
  std::string describe() const override { return inner_->describe(); }

  struct Counts {
    std::uint64_t second_reads = 0, won = 0;  ///< begun; and those that came first
  };
  Counts counts() const { return {second_reads_, won_}; }

 private:
  struct Race;
  LatencyBook& book_of(std::size_t bytes);
  bool may_hedge();
  Async<void> first(Race& race);
  Async<void> second(Race& race, std::chrono::nanoseconds after);

  StorePtr inner_;
  const double percentile_;
  std::array<LatencyBook, 3> books_;     // small, middling and large reads
  std::atomic<std::int64_t> credit_{0};  // of second reads, in twentieths
  std::atomic<int> under_way_{0};
  std::atomic<std::uint64_t> second_reads_{0}, won_{0};
};

}  // namespace kiseki::object
