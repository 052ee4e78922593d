#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <system_error>
#include <utility>

#include "core/async.hpp"
#include "core/ids.hpp"
#include "meta/engine.hpp"
#include "meta/lock_waits.hpp"

namespace kiseki::meta {

enum class LockKind : std::uint8_t { flock, record };

/// A lock that somebody of this process waits for. A flock is one of the whole file.
struct LockWish {
  Ino ino;
  LockKind kind = LockKind::flock;
  SessionId sid;
  std::uint64_t owner = 0;
  RangeLock range;
};

/// Where those of this process wait who want a file lock that somebody else holds, in order of arrival. When something
/// may have been let go (an unlock of this process; one of another client if the engine tells of it; some time has
/// passed) only the first asks the engine. What it finds held says who behind it could have what they want: they try
/// one after the other, in order. So a crowd costs the engine no more than one, and nobody stands behind another who is
/// merely waiting: only who holds a lock is in the way, as in the kernel.
/// Hears what the engine tells first, and passes it on. Thread-safe.
class LockQueues final : public ChangeObserver {
 public:
  class Place;
  explicit LockQueues(ChangeObserver& next) : next_(next) {}

  /// This process has let go of something.
  void unlocked(Ino ino, LockKind kind);

  void committed(const Commit& commit, const Outcome& outcome) noexcept override { next_.committed(commit, outcome); }
  void changed_elsewhere(const Key& key) noexcept override;
  void entries_changed_elsewhere(Ino dir) noexcept override { next_.entries_changed_elsewhere(dir); }
  void everything_may_have_changed() noexcept override { next_.everything_may_have_changed(); }
  void out_of_touch() noexcept override { next_.out_of_touch(); }

 private:
  using Clock = std::chrono::steady_clock;
  /// Those who wait for locks of one kind in one file. A round goes from the first to the last of them.
  struct Queue {
    std::map<std::uint64_t, Place*> places;  // by number: in order of arrival
    Place* trying = nullptr;                 // whose turn it is
    std::uint64_t last = 0;                  // who was the last in the queue when it began
    bool changed = false;                    // since this round began: it takes another
    bool let_go = false;                     // by this process, since the turn began: what it finds may be old
    Clock::time_point asked = Clock::now();  // when a session in the way was last asked for

    void begin_round();
    void wake();
    void give_turn(Place& place);
  };
  using Queues = std::map<std::pair<Ino, LockKind>, Queue>;

  void wake(Ino ino, LockKind kind);
  void note_waits(Queue& queue, const RangeLockTable& held);

  std::mutex mutex_;  // guards what follows, and what its queues and their places say it does
  Queues queues_;     // none is empty
  LockWaits waits_;
  std::uint64_t last_number_ = 0;
  ChangeObserver& next_;
};

/// One who waits, from arrival to departure, which passes the turn on if it has it. One coroutine at a time.
class LockQueues::Place {
 public:
  Place(LockQueues& queues, LockWish wish);
  Place(const Place&) = delete;
  ~Place();

  struct Turn {
    bool ask;  ///< whether the session of who is in the way still lives: it has not been asked for a while
  };
  /// Until it is our turn to try. Errors: EINTR when cancelled; EDEADLK when who holds the lock waits for us; what
  /// somebody before us was told by `unanswered`.
  Async<Turn> turn();
  /// We tried in vain. `held`: by whom, all there is in this file.
  void refused(const RangeLockTable& held);
  /// We tried, and the engine did not answer in time. It is so for all who stood in the queue meanwhile: each in turn
  /// would add that time to the next one's.
  void unanswered(std::error_code why);
  /// We have it, and leave. `held`: now, with ours.
  void granted(const RangeLockTable& held);

 private:
  friend class LockQueues;
  LockWaits::Request request() const { return {wish_.owner, number_}; }
  bool is_held_up(const RangeLockTable& held) const;
  void give_up(std::error_code why);
  void leave();
  void pass_turn(const RangeLockTable& held);
  void look_again();

  LockQueues& queues_;
  const LockWish wish_;
  Queues::iterator queue_;
  std::uint64_t number_ = 0;
  int waits_ = 0;             // how often we have waited for something to happen
  Signal news_;               // our turn, or that there will be none
  bool here_ = false;         // in the queue; guarded by the mutex of all, as is
  std::error_code given_up_;  // why it never will be our turn
};

}  // namespace kiseki::meta
