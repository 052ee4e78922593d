#include "object/hedged_store.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/async.hpp"

namespace kiseki::object {

namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr std::uint32_t kEnough = 100, kFadeAt = 4000;
constexpr double kFirstStepNs = 50'000, kStep = 1.25;
constexpr std::int64_t kCost = 20, kMostCredit = 10 * kCost;  // one in twenty, ten of them saved
constexpr int kMostAtOnce = 4;
constexpr std::size_t kSmall = 64 << 10, kMiddling = 1 << 20;

/// How a racer says that the other need not go on.
std::error_code decided() { return posix(EALREADY); }

}  // namespace

std::size_t LatencyBook::step_of(std::chrono::nanoseconds took) {
  auto steps = std::log(std::max(1.0, static_cast<double>(took.count()) / kFirstStepNs)) / std::log(kStep);
  return std::min(static_cast<std::size_t>(std::ceil(steps)), kSteps - 1);
}

std::chrono::nanoseconds LatencyBook::upper_end(std::size_t step) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(kFirstStepNs * std::pow(kStep, static_cast<double>(step))));
}

void LatencyBook::add(std::chrono::nanoseconds took) {
  std::lock_guard lock(mutex_);
  ++counts_[step_of(took)];
  if (++total_ < kFadeAt) return;
  total_ = 0;
  for (auto& count : counts_) total_ += count /= 2;
}

std::optional<std::chrono::nanoseconds> LatencyBook::percentile(double share) const {
  std::lock_guard lock(mutex_);
  if (total_ < kEnough) return std::nullopt;
  auto wanted = share * total_;
  double seen = 0;
  for (std::size_t step = 0; step < kSteps; ++step) {
    seen += counts_[step];
    if (seen >= wanted) return upper_end(step);
  }
  return upper_end(kSteps - 1);
}

LatencyBook& HedgedStore::book_of(std::size_t bytes) {
  return books_[bytes <= kSmall ? 0 : bytes <= kMiddling ? 1 : 2];
}

/// Takes from the credit what a second read costs, if there is enough.
bool HedgedStore::may_hedge() {
  if (under_way_.load() >= kMostAtOnce) return false;
  auto had = credit_.load();
  while (had >= kCost)
    if (credit_.compare_exchange_weak(had, had - kCost)) return true;
  return false;
}

struct HedgedStore::Race {
  ObjectKey key;
  std::uint64_t offset;
  std::span<std::byte> into;
  std::optional<Result<std::size_t>> first, second;
  bool second_begun = false;
  std::vector<std::byte> scratch;
};

Async<void> HedgedStore::first(Race& race) {
  race.first = co_await inner_->get(race.key, race.offset, race.into);
  // A failure waits for the second read, if there is one.
  if (*race.first || !race.second_begun) co_return decided();
  co_return Result<void>{};
}

Async<void> HedgedStore::second(Race& race, std::chrono::nanoseconds after) {
  co_await sleep_for(after);
  if (!may_hedge()) co_return Result<void>{};
  struct Place {
    std::atomic<int>& count;
    explicit Place(std::atomic<int>& c) : count(c) { ++count; }
    ~Place() { --count; }
  } place(under_way_);
  race.second_begun = true;
  ++second_reads_;
  race.scratch.resize(race.into.size());
  race.second = co_await inner_->get(race.key, race.offset, race.scratch);
  if (*race.second || race.first) co_return decided();
  co_return Result<void>{};
}

Async<std::size_t> HedgedStore::get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) {
  auto& book = book_of(into.size());
  auto begun = SteadyClock::now();
  auto after = book.percentile(percentile_);
  if (credit_.load() < kMostCredit) ++credit_;
  if (!after) {
    auto got = co_await inner_->get(std::move(key), offset, into);
    if (got) book.add(SteadyClock::now() - begun);
    co_return got;
  }
  Race race{std::move(key), offset, into, {}, {}, false, {}};
  std::vector<Async<void>> racers;
  racers.push_back(first(race));
  racers.push_back(second(race, *after));
  auto ended = co_await fan_out(std::move(racers), 2);
  if (!ended && ended.error() == posix(ECANCELED)) co_return posix(ECANCELED);
  book.add(SteadyClock::now() - begun);
  bool took_second = race.second && *race.second && !(race.first && *race.first);
  if (!took_second) co_return race.first ? *race.first : Result<std::size_t>(posix(ECANCELED));
  ++won_;
  std::memcpy(into.data(), race.scratch.data(), **race.second);
  co_return *race.second;
}

}  // namespace kiseki::object
