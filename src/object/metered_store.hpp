#pragma once

#include <chrono>
#include <memory>

#include "object/store.hpp"

namespace kiseki::object {

enum class Method { get, put, remove, head, list };
constexpr const char* name_of(Method method) {  ///< the `method` label of juicefs_object_request_*
  constexpr const char* names[] = {"GET", "PUT", "DELETE", "HEAD", "LIST"};
  return names[static_cast<int>(method)];
}

/// Hears of every request; whoever keeps metrics implements it (juicefs_object_request_durations_histogram_seconds,
/// _data_bytes, _errors, _uploading). Any thread; must not block.
class RequestMeter {
 public:
  virtual ~RequestMeter() = default;
  virtual void upload_started() noexcept {}
  virtual void upload_ended() noexcept {}
  /// `bytes` moved: of GET and PUT that succeeded, else 0. An absent object is an answer, not an error.
  virtual void finished(Method method, std::chrono::nanoseconds took, std::uint64_t bytes, bool failed) noexcept = 0;
};

class MeteredStore final : public ObjectStore {
 public:
  MeteredStore(StorePtr inner, std::shared_ptr<RequestMeter> meter)
      : inner_(std::move(inner)), meter_(std::move(meter)) {}

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
  std::shared_ptr<RequestMeter> meter_;
};

}  // namespace kiseki::object
