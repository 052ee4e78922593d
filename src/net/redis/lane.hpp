#pragma once

// Internal to net/redis. Heavy: include from .cpp files and from headers that only such files include.

#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <memory>
#include <vector>

#include "core/async.hpp"
#include "net/redis/backoff.hpp"
#include "net/redis/doze.hpp"
#include "net/redis/episode.hpp"
#include "net/redis/request.hpp"
#include "net/redis/topology.hpp"
#include "net/redis/tracker.hpp"

namespace kiseki::net::redis {

/// What all lanes of a client share.
struct Surroundings {
  Surroundings(Address address, std::shared_ptr<const TlsContext> tls, NameLookup& names, ClientOptions o)
      : topology(std::move(address), std::move(tls), names, o.read_only),
        options(o),
        away("redis.away", "redis.back", topology.address().shown()),
        refusing("redis.refuses", "redis.accepts", topology.address().shown()),
        full("redis.full", "redis.room_again", topology.address().shown()),
        unreplicated("redis.unreplicated", "redis.replicated", topology.address().shown()) {}
  Topology topology;
  const ClientOptions options;
  Episode away, refusing, full, unreplicated;
};

/// One loop's connection: what is queued while the loop turns leaves in one write; replies come back in order. Lives on
/// its loop, every member but `send` is called there.
class Lane : public std::enable_shared_from_this<Lane> {
 public:
  Lane(Surroundings& around, unsigned index, asio::any_io_executor home);
  void start(std::shared_ptr<Tracker> tracker = nullptr);  ///< by which its reads are tracked; none: they are not

  /// Takes a request whose waiter is armed; from any thread.
  void send(RequestPtr request);
  void retrack(Tracker::Redirect redirect);  ///< from any thread
  void reconnect();                          ///< from any thread: the server to talk to may be another now

  asio::awaitable<void> close();  ///< from any executor

 private:
  struct Connection;
  using ConnectionPtr = std::shared_ptr<Connection>;
  struct Flight {  ///< sent, and not yet answered
    RequestPtr request;
    std::uint64_t first_command_ends;  ///< where in the stream of this connection
    SteadyTime sent_at;
  };

  asio::awaitable<void> run();
  asio::awaitable<ConnectionPtr> connect();
  Async<void> be_tracked(Connection& connection);
  asio::awaitable<void> wait_before_next_try();
  asio::awaitable<void> read_replies(ConnectionPtr connection);
  asio::awaitable<void> write_requests(ConnectionPtr connection);
  asio::awaitable<void> watch_clock();
  asio::awaitable<void> track_anew(Tracker::Redirect redirect);
  void tracking_answered(Connection& connection, const Reply& reply, std::uint64_t generation);

  void enqueue(RequestPtr request);
  void fill(Connection& connection);
  bool take_replies(Connection& connection);
  void answered(RequestPtr request);
  void note_room(const Request& request);
  void refused(RequestPtr request, const Reply& why);
  asio::awaitable<void> ask_elsewhere(RequestPtr request, Endpoint node);
  void retire(SteadyTime::duration patience);
  void lose(Connection& connection);
  bool is_stuck(const Connection& connection, SteadyTime time) const;
  void end_expired(SteadyTime now);
  bool is_silent(const Connection& connection, SteadyTime time) const;
  void mind_silence(SteadyTime now);
  void nobody_answers();
  asio::awaitable<void> doubt(ConnectionPtr connection);
  enum class Elsewhere { answers, busy, silent };
  asio::awaitable<Elsewhere> ask_aside();
  void end_impatient();
  void requeue_due(SteadyTime now);
  void end_all();
  bool idle() const { return queue_.empty() && flights_.empty() && later_.empty(); }

  Surroundings& around_;
  const unsigned index_;
  const asio::any_io_executor home_;
  std::shared_ptr<Tracker> tracker_;
  std::deque<RequestPtr> queue_;   ///< to be sent
  std::deque<Flight> flights_;     ///< in the order of their replies
  std::vector<RequestPtr> later_;  ///< refused, wait for their next attempt
  std::size_t commands_in_flight_ = 0;
  ConnectionPtr connection_;
  Doze first_request_, writer_, clock_;
  asio::steady_timer pause_;
  Backoff backoff_;
  bool closed_ = false;
  TaskGroup tasks_;
};

}  // namespace kiseki::net::redis
