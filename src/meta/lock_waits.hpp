#pragma once

#include <cstdint>
#include <map>
#include <mutex>

#include "core/async.hpp"
#include "core/ids.hpp"

namespace kiseki::meta {

/// Who of this mount waits for whose record lock, so that a wait that could never end is refused (EDEADLK) instead. An
/// owner is a process to the kernel: the same number on every file. A note stands only while it is true: an unlock
/// takes those of its inode away before it wakes anyone. Other clients' waits are not known. Thread-safe.
class LockWaits {
 public:
  enum class Verdict { wait, deadlock };
  /// Notes that `waiter` waits for `holder`, who holds a lock of `ino`; `deadlock`, and no note, if `holder` waits for
  /// `waiter`, be it through others. Without a note, too, when `signal` moved on since `ticket`: the waiter looks
  /// again.
  Verdict begin(std::uint64_t waiter, std::uint64_t holder, Ino ino, const Signal& signal, std::uint64_t ticket);
  /// Takes one such note away, if it is still there.
  void end(std::uint64_t waiter, std::uint64_t holder, Ino ino);
  /// Something of `ino` was unlocked: wakes those who wait at `signal`.
  void unlocked(Ino ino, Signal& signal);

 private:
  struct Wait {
    std::uint64_t holder;
    Ino ino;
    friend bool operator==(const Wait&, const Wait&) = default;
  };
  bool leads_to(std::uint64_t from, std::uint64_t to) const;

  std::mutex mutex_;                          // guards waits_
  std::multimap<std::uint64_t, Wait> waits_;  // by waiter; as many as blocked requests
};

}  // namespace kiseki::meta
