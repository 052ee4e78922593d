#pragma once

#include <array>
#include <cstdint>

#include "core/async.hpp"
#include "core/ids.hpp"
#include "meta/lock_waits.hpp"

namespace kiseki::meta {

/// Where those of this process wait who want a file lock that another of this process holds: an unlock wakes them at
/// once, so that no one polls for it. Inodes share a few signals; a wake-up too many only costs a try. Thread-safe.
class LockQueues {
 public:
  Signal& of(Ino ino) { return signals_[std::hash<Ino>()(ino) >> 32 & (kSignals - 1)]; }

  LockWaits& waits() { return waits_; }
  void unlocked(Ino ino) { waits_.unlocked(ino, of(ino)); }

 private:
  static constexpr std::size_t kSignals = 64;
  std::array<Signal, kSignals> signals_;
  LockWaits waits_;
};

}  // namespace kiseki::meta
