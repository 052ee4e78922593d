#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "fuse/transport.hpp"

namespace kiseki::fuse {

/// The requests of one loop that are being worked on, by number. Changed by its loop only; asked by any thread.
class InFlight {
 public:
  void add(Delivery& delivery) {
    std::lock_guard lock(mutex_);
    auto& head = bucket(delivery.request.header.unique);
    delivery.next = head;
    head = &delivery;
    ++count_;
  }
  void remove(Delivery& delivery) {
    std::lock_guard lock(mutex_);
    auto** at = &bucket(delivery.request.header.unique);
    while (*at != &delivery) at = &(*at)->next;
    *at = delivery.next;
    delivery.next = nullptr;
    --count_;
  }
  bool has(std::uint64_t unique) const { return find(unique) != nullptr; }
  /// On its loop only: the delivery could end meanwhile elsewhere.
  Delivery* find(std::uint64_t unique) const {
    std::lock_guard lock(mutex_);
    auto* at = buckets_[index(unique)];
    while (at != nullptr && at->request.header.unique != unique) at = at->next;
    return at;
  }
  std::size_t count() const {
    std::lock_guard lock(mutex_);
    return count_;
  }
  /// On its loop only. `visit` must not add or remove.
  template <class F>
  void each(F visit) const {
    for (auto* at : buckets_) {
      for (; at != nullptr; at = at->next) visit(*at);
    }
  }

 private:
  static constexpr std::size_t kBuckets = 256;
  // The kernel counts request numbers up by two, and clones of one device may count apart by CPU.
  static std::size_t index(std::uint64_t unique) { return (unique >> 1) % kBuckets; }
  Delivery*& bucket(std::uint64_t unique) { return buckets_[index(unique)]; }
  mutable std::mutex mutex_;
  std::array<Delivery*, kBuckets> buckets_{};
  std::size_t count_ = 0;
};

}  // namespace kiseki::fuse
