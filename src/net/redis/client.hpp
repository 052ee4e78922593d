#pragma once

#include <boost/system/result.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "core/runtime.hpp"
#include "net/redis/address.hpp"
#include "net/redis/command.hpp"
#include "net/redis/errc.hpp"
#include "net/redis/failure.hpp"
#include "net/redis/reply.hpp"

namespace kiseki::net::redis {

/// May a request whose reply was lost be sent again? `when_lost`: it changes nothing, or twice is as good as once.
/// `while_reachable`: likewise, but with Errc::unavailable it is given up as soon as the server is away().
enum class Resend { never, when_lost, while_reachable };

/// Hears what the server says about keys we have read. Called from a loop's thread, one call at a time; must not block
/// and must not call the client. A call may come before the reply to the very read it is about has been seen: whoever
/// caches must note what it hears while a read is under way, and not store that read's answer.
class InvalidationListener {
 public:
  virtual ~InvalidationListener() = default;
  virtual void changed(std::string_view key) noexcept = 0;  ///< the full key, prefix included
  virtual void everything() noexcept = 0;                   ///< what was read before this may have changed unheard
  virtual void out_of_touch() noexcept { everything(); }    ///< changes are not heard from now on, up to everything()
};

struct ClientOptions {
  std::chrono::milliseconds deadline{30'000};  ///< of one request, all attempts together
  bool tracking = true;                        ///< ask the server to tell us of changes (Redis >= 6)
  bool read_only = false;                      ///< nothing will be written: a replica will do, if the address says so
};

/// A Redis server (or what Sentinels or a Cluster say is the one to talk to) over one connection per loop (one for all
/// loops while it tracks; one more asks replicas), with everything that is queued in one turn of the loop sent in one
/// write. Calls may come from any executor; they resume on it. Cancelling a call leaves its request running.
///
/// While the server is away requests wait, at most for the deadline. Replies that say "not now" (-LOADING, -READONLY,
/// -MOVED, ...) are hidden: the request is sent again until the deadline, unless part of its batch was executed.
///
/// Tracking: the server remembers for each of our connections which keys it has read since they last changed, by
/// scripts too if they declare them (seen on Redis 7.0: a key that a script only computes is not tracked), and tells
/// when another connection changes one of them (CLIENT TRACKING, REDIRECT, NOLOOP). A key that the same connection
/// changes is forgotten without a word: a script that changes a key it wants to hear about reads it once more after the
/// change. Another connection of ours would make all our changes come back as somebody else's: hence only one.
class Client {
 public:
  /// Connects, checks the server, and finds out what it can do. Blocks, so call it before the loops serve, but after
  /// `runtime.start()`, and not from a loop. The runtime outlives the client.
  static Explained<std::shared_ptr<Client>> open(Address address, ClientOptions options, Runtime& runtime);
  ~Client();  ///< closes when nobody did; that blocks: not from a loop
  Client(const Client&) = delete;

  /// One batch: sent together, executed in order (not atomically), one reply for each. Error replies are replies, see
  /// `meaning_of`. Errors: those of Errc; ECANCELED.
  Async<Replies> run(Commands commands, Resend resend = Resend::never);
  Async<Reply> run_one(Command command, Resend resend = Resend::never);
  /// Runs a script: one round trip, or two when the server did not know it yet.
  Async<Reply> eval(const Script& script, const Strings& keys, const Strings& args, Resend resend = Resend::never);
  /// Until as many replicas as the address wants have a change that was answered. At once if it wants none. `proof`
  /// answers 1 after it has found the change and written something. Errors: Errc::reply_lost when they do not say so in
  /// time, or the server is another now, without the change: it may be lost.
  Async<void> replicated(const Script& proof, const Strings& keys, const Strings& args);

  /// What every key of the volume begins with: "{N}" on a Cluster, else empty.
  const std::string& key_prefix() const noexcept;
  /// At most one, set before the first request; must outlive close().
  void listen(InvalidationListener* listener) noexcept;
  /// True while every read is tracked: whatever was read since the last `everything()` has not changed since, but for
  /// what the listener heard and what we changed ourselves. Cheap, never blocks, any thread.
  bool tracking() const noexcept;
  /// Until the listener has heard of every change that the server made before this call: one round trip, which calls
  /// share. At once while there is no tracking. Errors: ECANCELED.
  Async<void> hear_all();
  /// True when the last attempt to connect failed, and no server has answered since: there is none now. Cheap, never
  /// blocks, any thread.
  bool away() const noexcept;
  const Address& address() const noexcept;

  /// Ends every connection; requests under way answer Errc::closed or Errc::reply_lost. From any executor; idempotent.
  asio::awaitable<void> close();

 private:
  struct State;
  explicit Client(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kiseki::net::redis
