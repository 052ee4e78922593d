#pragma once

#include <array>
#include <cstdint>

#include "core/async.hpp"
#include "core/ids.hpp"
#include "meta/engine.hpp"
#include "meta/lock_waits.hpp"

namespace kiseki::meta {

/// Where those of this process wait who want a file lock that somebody else holds: an unlock of this process wakes them
/// at once, so does one of another client if the engine tells of it; nobody polls for those. Hears what the engine
/// tells first, and passes it on. Inodes share a few signals; a wake-up too many only costs a try. Thread-safe.
class LockQueues final : public ChangeObserver {
 public:
  explicit LockQueues(ChangeObserver& next) : next_(next) {}

  Signal& of(Ino ino) { return signals_[std::hash<Ino>()(ino) >> 32 & (kSignals - 1)]; }

  LockWaits& waits() { return waits_; }
  void unlocked(Ino ino) { waits_.unlocked(ino, of(ino)); }

  void committed(const Commit& commit, const Outcome& outcome) noexcept override { next_.committed(commit, outcome); }
  void changed_elsewhere(const Key& key) noexcept override {
    if (auto* locks = std::get_if<FileLocksKey>(&key)) return unlocked(locks->ino);
    if (auto* locks = std::get_if<RangeLocksKey>(&key)) return unlocked(locks->ino);
    next_.changed_elsewhere(key);
  }
  void entries_changed_elsewhere(Ino dir) noexcept override { next_.entries_changed_elsewhere(dir); }
  void everything_may_have_changed() noexcept override { next_.everything_may_have_changed(); }
  void out_of_touch() noexcept override { next_.out_of_touch(); }

 private:
  static constexpr std::size_t kSignals = 64;
  std::array<Signal, kSignals> signals_;
  LockWaits waits_;
  ChangeObserver& next_;
};

}  // namespace kiseki::meta
