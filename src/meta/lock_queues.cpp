#include "meta/lock_queues.hpp"

#include <algorithm>
#include <cerrno>
#include <random>
#include <vector>

#include "meta/ops/range_locks.hpp"

namespace kiseki::meta {

namespace {

constexpr auto kAskEvery = std::chrono::seconds(1);

Async<void> news_of(Signal& signal, std::uint64_t ticket) {
  co_await signal.wait(ticket);
  co_return Result<void>{};
}

/// How long to wait for news before looking without any: locks of the dead fall silently, and not every engine tells.
std::chrono::milliseconds patience(int waits) {
  thread_local std::minstd_rand random(std::random_device{}());
  auto most = std::min(100 << std::min(waits, 4), 1000);
  return std::chrono::milliseconds(std::uniform_int_distribution<int>(most / 2, most)(random));
}

bool holds_up(const RangeLocks& held, const LockWish& wish) {
  return !op::is_own(held, wish.sid, wish.owner) && op::conflict(held.ranges, wish.range) != nullptr;
}

}  // namespace

// ---- queues, all under the mutex ----------------------------------------------------------------------------------

void LockQueues::Queue::give_turn(Place& place) {
  trying = &place;
  last = places.rbegin()->first;
  let_go = false;
  place.news_.notify_all();
}

void LockQueues::Queue::begin_round() {
  changed = false;
  trying = nullptr;
  if (!places.empty()) give_turn(*places.begin()->second);
}

void LockQueues::Queue::wake() {
  changed = true;  // if a round is under way, it may have passed those by whom this concerns
  if (trying == nullptr) begin_round();
}

/// Everybody in the queue waits for those of this mount who hold what they want. Of other clients' waits nothing is
/// known.
void LockQueues::note_waits(Queue& queue, const RangeLockTable& held) {
  for (auto& [number, place] : queue.places) {
    std::vector<std::uint64_t> holders;
    for (auto& one : held)
      if (one.sid == place->wish_.sid && holds_up(one, place->wish_)) holders.push_back(one.owner);
    if (!waits_.wait(place->request(), std::move(holders))) place->give_up(posix(EDEADLK));
  }
}

// ---- what happens to locks ----------------------------------------------------------------------------------------

void LockQueues::unlocked(Ino ino, LockKind kind) {
  std::lock_guard lock(mutex_);
  auto found = queues_.find({ino, kind});
  if (found == queues_.end()) return;
  auto& queue = found->second;
  queue.let_go = true;
  for (auto& [number, place] : queue.places) waits_.end(place->request());  // as far as anybody knows
  queue.wake();
}

void LockQueues::wake(Ino ino, LockKind kind) {
  std::lock_guard lock(mutex_);
  if (auto found = queues_.find({ino, kind}); found != queues_.end()) found->second.wake();
}

void LockQueues::changed_elsewhere(const Key& key) noexcept {
  if (auto* locks = std::get_if<FileLocksKey>(&key)) return wake(locks->ino, LockKind::flock);
  if (auto* locks = std::get_if<RangeLocksKey>(&key)) return wake(locks->ino, LockKind::record);
  next_.changed_elsewhere(key);
}

// ---- one who waits ------------------------------------------------------------------------------------------------

LockQueues::Place::Place(LockQueues& queues, LockWish wish) : queues_(queues), wish_(wish) {
  std::lock_guard lock(queues_.mutex_);
  queue_ = queues_.queues_.try_emplace({wish_.ino, wish_.kind}).first;
  number_ = ++queues_.last_number_;
  auto& queue = queue_->second;
  queue.places.emplace(number_, this);
  here_ = true;
  if (queue.trying == nullptr) queue.begin_round();  // else this one comes to us
}

LockQueues::Place::~Place() {
  std::lock_guard lock(queues_.mutex_);
  if (here_) leave();
}

void LockQueues::Place::leave() {
  auto& queue = queue_->second;
  here_ = false;
  queue.places.erase(number_);
  queues_.waits_.end(request());
  if (queue.trying == this) queue.begin_round();  // we found out nothing
  if (queue.places.empty()) queues_.queues_.erase(queue_);
}

Async<LockQueues::Place::Turn> LockQueues::Place::turn() {
  for (;; ++waits_) {
    auto ticket = news_.ticket();
    {
      std::lock_guard lock(queues_.mutex_);
      if (given_up_) co_return given_up_;
      if (auto& queue = queue_->second; queue.trying == this) {
        bool ask = Clock::now() - queue.asked >= kAskEvery;
        if (ask) queue.asked = Clock::now();
        co_return Turn{ask};
      }
    }
    auto told = co_await with_timeout(patience(waits_), news_of(news_, ticket));
    if (!told && told.error() == posix(ECANCELED)) co_return posix(EINTR);
    if (!told) look_again();
  }
}

/// Nothing was heard for a while.
void LockQueues::Place::look_again() {
  std::lock_guard lock(queues_.mutex_);
  auto& queue = queue_->second;
  if (queue.trying == nullptr && queue.places.begin()->second == this) queue.begin_round();
}

void LockQueues::Place::give_up(std::error_code why) {
  given_up_ = why;
  news_.notify_all();
}

void LockQueues::Place::refused(const RangeLockTable& held) {
  std::lock_guard lock(queues_.mutex_);
  pass_turn(held);
}

void LockQueues::Place::unanswered(std::error_code why) {
  std::lock_guard lock(queues_.mutex_);
  auto& queue = queue_->second;
  auto later = queue.places.upper_bound(queue.last);
  for (auto at = queue.places.begin(); at != later; ++at) at->second->give_up(why);
}

void LockQueues::Place::granted(const RangeLockTable& held) {
  std::lock_guard lock(queues_.mutex_);
  queue_->second.places.erase(number_);
  pass_turn(held);
  leave();
}

bool LockQueues::Place::is_held_up(const RangeLockTable& held) const {
  return std::ranges::any_of(held, [this](auto& one) { return holds_up(one, wish_); });
}

void LockQueues::Place::pass_turn(const RangeLockTable& held) {
  auto& queue = queue_->second;
  if (wish_.kind == LockKind::record && !queue.let_go) queues_.note_waits(queue, held);
  queue.trying = nullptr;
  auto next = std::find_if(queue.places.upper_bound(number_), queue.places.end(),
                           [&](auto& one) { return !one.second->is_held_up(held); });
  if (next != queue.places.end()) return queue.give_turn(*next->second);
  if (queue.changed) queue.begin_round();
}

}  // namespace kiseki::meta
