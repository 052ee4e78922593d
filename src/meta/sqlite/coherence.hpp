#pragma once

#include <mutex>
#include <optional>

#include "meta/engine.hpp"
#include "meta/sqlite/wal_watch.hpp"

namespace kiseki::meta::sqlite {

/// Keeps the observer's caches right although other processes commit to the same file. The order is everything: a
/// header is read first, then the observer is told, and only then the header is trusted; so nothing cached from before
/// a foreign commit is ever there while its header is trusted.
class Coherence {
 public:
  void attach(Connection& db) { watch_.attach(db); }
  void observe(ChangeObserver* observer) noexcept { observer_ = observer; }
  bool coherent() const noexcept { return watch_.trusted(); }

  /// Before a snapshot is read: if others committed since, tells the observer and trusts again.
  void refresh() noexcept;

  /// One SQL transaction of ours, from BEGIN IMMEDIATE, when no one else can commit, to after COMMIT.
  class Change {
   public:
    explicit Change(Coherence& coherence);
    /// The header this transaction began at; nothing when it cannot be watched.
    std::optional<WalHeader> begins_at() const noexcept;
    /// After COMMIT: `tell(observer)` reports what was committed. Answers the header our commit left, unless someone
    /// else's came after it.
    template <class F>
    std::optional<WalHeader> committed(F tell) {
      auto after = note();
      if (coherence_.observer_) tell(*coherence_.observer_);
      return publish(after);
    }

   private:
    WalHeader note() const noexcept;
    std::optional<WalHeader> publish(const WalHeader& after) noexcept;
    Coherence& coherence_;
    std::unique_lock<std::mutex> lock_;
    WalHeader before_;
    bool foreign_ = false;
  };

 private:
  WalWatch watch_;
  ChangeObserver* observer_ = nullptr;
  std::mutex mutex_;  ///< held while the observer is told and a header is trusted
};

}  // namespace kiseki::meta::sqlite
