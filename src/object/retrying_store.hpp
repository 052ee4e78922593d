#pragma once

#include <chrono>

#include "object/store.hpp"

namespace kiseki::object {

/// How often and how patiently a request is tried. Before try t (from 0) a random time up to min(t*t * step, longest)
/// is waited: JuiceFS's t*t seconds with full jitter, so that clients of a store that comes back do not march in step.
struct RetryPolicy {
  unsigned tries = 11;                       ///< --io-retries + 1; at least 1
  std::chrono::milliseconds put_step{1000};  ///< also for remove
  std::chrono::milliseconds get_step{300};   ///< also for head and list
  std::chrono::milliseconds longest{100'000};
  std::chrono::milliseconds deadline{600'000};  ///< no try begins later than this after the first
};

/// Tries again what may yet succeed: throttled, unavailable, corrupt (another copy may be whole), timeouts and unknown
/// errors. Not: not_found, access_denied, no_space, bad_request, no_bucket, cancellation.
class RetryingStore final : public ObjectStore {
 public:
  RetryingStore(StorePtr inner, RetryPolicy policy) : inner_(std::move(inner)), policy_(policy) {}

  Async<std::size_t> get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) override;
  Async<void> put(ObjectKey key, Body body) override;
  Async<void> remove(ObjectKey key) override;
  Async<void> remove_all(std::vector<ObjectKey> keys) override;
  Async<ObjectInfo> head(ObjectKey key) override;
  Async<ObjectPage> list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) override;
  Async<void> create() override { return inner_->create(); }
  std::string describe() const override { return inner_->describe(); }

 private:
  template <class T, class MakeTry>
  Async<T> tried(const char* verb, ObjectKey key, bool is_put, MakeTry make_try);

  StorePtr inner_;
  RetryPolicy policy_;
};

}  // namespace kiseki::object
