#pragma once

// Internal to net/redis.

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "core/async.hpp"
#include "net/redis/client.hpp"
#include "net/redis/topology.hpp"

namespace kiseki::net::redis {

/// Keeps the one connection to which the server sends invalidations, and knows whether every other connection is
/// tracked towards it. When this connection or any other is lost, what was read before is not known to be right any
/// more: everything is forgotten and a new generation begins, in which each lane is tracked anew.
class Tracker : public std::enable_shared_from_this<Tracker> {
 public:
  /// Where invalidations go in this generation.
  struct Redirect {
    std::uint64_t generation = 0;  ///< 0: nowhere now
    std::int64_t client = 0;       ///< what CLIENT ID said
    Endpoint at{};
    Command command() const { return Command("CLIENT", "TRACKING", "ON", "REDIRECT", client, "NOLOOP"); }
  };
  using Retrack = std::function<void(Redirect)>;  ///< tells every lane, on its own loop

  Tracker(const Topology& topology, asio::any_io_executor home, unsigned lanes, Retrack retrack);

  void listen(InvalidationListener* listener) noexcept;
  bool tracking() const noexcept { return tracking_.load(std::memory_order_acquire); }
  Redirect current() const;
  /// Until the listener has heard of every change the server made before this call; at once while nothing is heard.
  Async<void> hear_all();

  // Of a lane, from its loop:
  void lane_answers();  ///< there is a server again: what was right when it was last heard of is out of date
  void lane_tracked(unsigned lane, std::uint64_t generation);  ///< its reads are tracked (0: it has a connection only)
  void lane_lost(unsigned lane);
  void refused(const std::string& why);  ///< the server will not track: given up for good

  asio::awaitable<void> run();  ///< on `home`, until cancelled

 private:
  struct Lane {
    bool connected = false;
    std::uint64_t generation = 0;
  };
  Async<void> one_generation(std::string& why);
  Async<void> hear(Link& link);
  Async<void> beat(Link& link);
  Async<void> asked(std::uint64_t ticket);
  Async<void> answered(std::uint64_t ticket);
  Result<void> take(const Reply& message);
  void begin(std::int64_t client, Endpoint at);
  void forget();
  void settle_locked();
  void set_locked(bool on);

  const Topology& topology_;
  const asio::any_io_executor home_;
  const Retrack retrack_;
  std::shared_ptr<Link> link_;                     ///< on `home_`
  std::chrono::steady_clock::time_point heard_{};  ///< on `home_`
  std::atomic<bool> tracking_{false}, given_up_{false};
  /// PINGs are numbered: what the server sent before it answered number n has been heard once `heard_of_` is n.
  std::atomic<std::uint64_t> wanted_{0}, heard_of_{0};
  Signal asked_, answered_;
  mutable std::mutex mutex_;  ///< guards what follows, and calls of the listener
  InvalidationListener* listener_ = nullptr;
  std::vector<Lane> lanes_;
  Redirect redirect_;
  std::uint64_t last_generation_ = 0;
};

}  // namespace kiseki::net::redis
