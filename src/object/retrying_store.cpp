#include "object/retrying_store.hpp"

#include <algorithm>
#include <random>

#include "core/async.hpp"
#include "core/log.hpp"

namespace kiseki::object {

namespace {

using SteadyClock = std::chrono::steady_clock;

bool worth_another_try(std::error_code error) {
  if (error == posix(ECANCELED)) return false;
  if (error.category() != object_category()) return true;
  switch (static_cast<ObjectErrc>(error.value())) {
    case ObjectErrc::throttled:
    case ObjectErrc::unavailable:
    case ObjectErrc::unreachable:
    case ObjectErrc::corrupt:
      return true;
    default:
      return false;
  }
}

std::chrono::nanoseconds wait_before(unsigned attempt, std::chrono::milliseconds step,
                                     std::chrono::milliseconds longest) {
  thread_local std::mt19937_64 random{std::random_device{}()};
  std::chrono::nanoseconds most = std::min(step * attempt * attempt, longest);
  return std::chrono::nanoseconds(std::uniform_int_distribution<std::int64_t>(0, most.count())(random));
}

}  // namespace

template <class T, class MakeTry>
Async<T> RetryingStore::tried(const char* verb, ObjectKey key, bool is_put, MakeTry make_try) {
  auto begun = SteadyClock::now();
  for (unsigned attempt = 1;; ++attempt) {
    auto result = co_await make_try();
    if (result || !worth_another_try(result.error()) || attempt >= policy_.tries) co_return result;
    auto wait = wait_before(attempt, is_put ? policy_.put_step : policy_.get_step, policy_.longest);
    if (SteadyClock::now() + wait - begun > policy_.deadline) co_return result;
    log::warn("object.retry", {{"verb", verb},
                               {"key", key},
                               {"attempt", attempt},
                               {"wait_ms", wait.count() / 1'000'000},
                               {"error", result.error()}});
    co_await sleep_for(wait);
  }
}

Async<std::size_t> RetryingStore::get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) {
  return tried<std::size_t>("get", key, false, [this, key, offset, into] { return inner_->get(key, offset, into); });
}

Async<void> RetryingStore::put(ObjectKey key, Body body) {
  return tried<void>("put", key, true, [this, key, body = std::move(body)] { return inner_->put(key, body); });
}

Async<void> RetryingStore::remove(ObjectKey key) {
  return tried<void>("delete", key, true, [this, key] { return inner_->remove(key); });
}

Async<void> RetryingStore::remove_all(std::vector<ObjectKey> keys) {
  auto first = keys.empty() ? ObjectKey() : keys.front();
  return tried<void>("delete", first, true, [this, keys = std::move(keys)] { return inner_->remove_all(keys); });
}

Async<ObjectInfo> RetryingStore::head(ObjectKey key) {
  return tried<ObjectInfo>("head", key, false, [this, key] { return inner_->head(key); });
}

Async<ObjectPage> RetryingStore::list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) {
  auto make_try = [=, this] { return inner_->list(prefix, after, limit, delimiter); };
  return tried<ObjectPage>("list", prefix, false, std::move(make_try));
}

}  // namespace kiseki::object
