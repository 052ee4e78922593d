#pragma once

#include <deque>
#include <functional>
#include <mutex>

#include "object/metered_store.hpp"
#include "object/store.hpp"

namespace kiseki::object {

/// Fails as told: for tests. Thread-safe.
class FaultyStore final : public ObjectStore {
 public:
  explicit FaultyStore(StorePtr inner) : inner_(std::move(inner)) {}

  /// The next `times` requests of `method` fail with `error`; a put then has stored nothing.
  void fail_next(Method method, std::error_code error, unsigned times = 1);
  /// The next put stores the object, then reports `error`: the answer that was lost on the way.
  void lose_next_put_answer(std::error_code error);
  /// Asked before every request; an error it returns is the answer. Empty: nobody is asked.
  using Judge = std::function<std::error_code(Method, const ObjectKey&)>;
  void judge(Judge judge);
  /// Awaited before every request: lets a test hold requests back.
  using Gate = std::function<asio::awaitable<void>(Method, ObjectKey)>;
  void gate(Gate gate);
  std::size_t requests(Method method) const;  ///< so far, failed ones too

  Async<std::size_t> get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) override;
  Async<void> put(ObjectKey key, Body body) override;
  Async<void> remove(ObjectKey key) override;
  Async<ObjectInfo> head(ObjectKey key) override;
  Async<ObjectPage> list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) override;
  Async<void> create() override { return inner_->create(); }
  std::string describe() const override { return inner_->describe(); }

 private:
  Async<void> admit(Method method, ObjectKey key);

  StorePtr inner_;
  mutable std::mutex mutex_;  // guards all below
  std::deque<std::error_code> faults_[5];
  std::size_t requests_[5] = {};
  std::error_code lost_answer_;
  Judge judge_;
  Gate gate_;
};

}  // namespace kiseki::object
