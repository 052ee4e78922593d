#include "object/limited_store.hpp"

#include <algorithm>
#include <chrono>

#include "core/log.hpp"

namespace kiseki::object {

namespace {

constexpr auto kHalveEvery = std::chrono::nanoseconds(std::chrono::seconds(1));

std::int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

template <class T>
std::error_code error_of(const Result<T>& result) {
  return result ? std::error_code() : result.error();
}

}  // namespace

void AdaptiveGate::report(std::error_code outcome) {
  std::lock_guard lock(mutex_);
  if (outcome == ObjectErrc::throttled) {
    successes_ = 0;
    auto now = now_ns();
    if (now_ == 1 || now - halved_at_ns_ < kHalveEvery.count()) return;
    halved_at_ns_ = now;
    now_ = std::max<std::size_t>(1, now_ / 2);
    log::warn("object.slow_down", {{"requests_at_once", now_}});
  } else if (outcome || now_ == most_ || ++successes_ < now_) {
    return;
  } else {
    successes_ = 0;
    ++now_;
  }
  permits_.resize(now_);
}

std::size_t AdaptiveGate::allowed() const {
  std::lock_guard lock(mutex_);
  return now_;
}

Async<std::size_t> LimitedStore::get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) {
  if (rates_->download.on()) co_await rates_->download.take(into.size());
  auto permit = co_await downloads_.enter();
  auto got = co_await inner_->get(std::move(key), offset, into);
  downloads_.report(error_of(got));
  co_return got;
}

Async<void> LimitedStore::put(ObjectKey key, Body body) {
  if (rates_->upload.on()) co_await rates_->upload.take(body.size());
  auto permit = co_await uploads_.enter();
  auto done = co_await inner_->put(std::move(key), std::move(body));
  uploads_.report(error_of(done));
  co_return done;
}

}  // namespace kiseki::object
