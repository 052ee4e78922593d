#pragma once

// Internal to net/redis.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>

#include "core/async.hpp"
#include "net/redis/address.hpp"
#include "net/redis/command.hpp"
#include "net/redis/episode.hpp"
#include "net/redis/reply.hpp"

namespace kiseki::net::redis {

/// Finds out whether enough replicas have our changes: in rounds, one after another, each for all who asked before it
/// began. WAIT holds up the connection it comes on, so the rounds have one of their own. It waits for what that
/// connection wrote, and the server there may have become another: hence each change brings a proof, a script that
/// answers 1 after it has found the change and written something.
class Replication {
 public:
  /// Sends one batch on the rounds' connection, its last command a WAIT; may send it twice.
  using Run = std::function<Async<Replies>(Commands)>;
  Replication(const Address& address, Episode& lacking, Run run);

  /// Until the replicas have what `proof` finds. Errors: Errc::reply_lost when nobody says so in time, or it finds
  /// nothing. Any thread.
  Async<void> reached(Command proof);

  asio::awaitable<void> run();  ///< the rounds, until cancelled
  void close();                 ///< when they run no more: ends those who wait

 private:
  struct Round {
    Commands proofs;
    Replies replies{};  ///< to the proofs, once it is over; none: the replicas may not have them
    std::atomic<bool> over{false};
    Signal ended{};
  };
  std::shared_ptr<Round> take_next();
  bool enough(const Reply& said);
  void settle(Round& round, Result<Replies> replies);

  const unsigned wanted_replicas_;
  const std::chrono::milliseconds patience_;
  Episode& lacking_;
  const Run run_;
  Signal wanted_;
  std::mutex mutex_;             ///< guards what follows
  std::shared_ptr<Round> next_;  ///< collects proofs; none: nobody has asked since the last one began
  bool closed_ = false;
};

}  // namespace kiseki::net::redis
