#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "net/redis/address.hpp"
#include "net/redis/link.hpp"
#include "net/redis/stream.hpp"

namespace kiseki::net::redis {

/// Which server to talk to, and how to greet it. Shared by all connections of a client; any thread.
class Topology {
 public:
  /// `replicas`: reads may go to a replica, as the address asks for (a mount that writes nothing).
  Topology(Address address, std::shared_ptr<const TlsContext> tls, NameLookup& names, bool replicas);

  const Address& address() const { return address_; }
  const std::string& key_prefix() const { return key_prefix_; }
  /// The address turned out to be a node of a Cluster. Before the first connection of a loop.
  void become_cluster();

  /// True when the last attempt to connect failed or the server has gone silent, and none has answered since.
  bool away() const noexcept { return away_.load(std::memory_order_acquire); }
  void has_answered(bool yes) const noexcept { away_.store(!yes, std::memory_order_release); }  ///< a lane's say

  struct Connected {
    std::unique_ptr<Link> link;
    Endpoint at;
  };
  /// Finds the server, connects and greets it (user, database, name), all within `connect_timeout`; then sends `extra`
  /// (may be empty) whose replies it puts into `extra_replies`. On an error `why` has the sentence.
  Async<Connected> connect(Commands extra, Replies& extra_replies, std::string& why) const;
  /// Connects to one server and greets it, without looking for anything; not bounded.
  Async<std::unique_ptr<Link>> connect_to(Endpoint to, Commands extra, Replies& extra_replies, std::string& why) const;
  /// Connects to this Sentinel.
  Async<std::unique_ptr<Link>> connect_to_sentinel(Endpoint to, std::string& why) const;

  // What Sentinels announce. From the announcement of a fail-over up to its end nobody is connected to: what the old
  // master would acknowledge after the promotion of another would be lost. Then the old one is not believed for a while
  // (it takes itself for the master until somebody tells it) though slower Sentinels may still name it.
  void fail_over_begins() const;
  /// Grows with every change of masters that is announced: who connected meanwhile may have the old one.
  std::uint64_t announced() const { return announced_; }
  void fail_over_ends() const;  ///< without another master
  /// False when it was known already.
  bool master_changes(Endpoint from, Endpoint to) const;

  /// A node of the Cluster said where the volume's slot is now: "HOST:PORT", or ":PORT" for the same host.
  void moved_to(std::string_view where, const Endpoint& from) const;
  Endpoint resolved(std::string_view where, const Endpoint& from) const;

 private:
  Async<Connected> find_and_connect(Commands extra, Replies& extra_replies, std::string& why) const;
  Async<std::unique_ptr<Link>> open_link(Endpoint to, std::string& why) const;
  Async<Endpoint> locate(std::string& why) const;
  Async<std::unique_ptr<Link>> connect_to_a_sentinel(std::string& why) const;
  Async<Endpoint> ask_sentinels(std::string& why) const;
  Result<void> may_be_master(const Endpoint& found, std::string& why) const;
  Async<Endpoint> ask_nodes(std::string& why) const;
  Async<Endpoint> owner_of_slot(Endpoint node, std::string& why) const;
  void remember(const Reply& slots, const Endpoint& asked) const;
  bool wants_replica() const { return replicas_ && !address_.route_read.empty(); }
  Commands greeting() const;

  Address address_;
  std::string key_prefix_;
  std::shared_ptr<const TlsContext> tls_;
  NameLookup& names_;
  const bool replicas_;
  mutable std::atomic<std::size_t> first_host_{0};  ///< the one that answered last
  mutable std::atomic<bool> away_{false};
  mutable std::atomic<std::uint64_t> announced_{0};
  mutable std::mutex mutex_;                   ///< guards what follows
  mutable std::vector<Endpoint> other_nodes_;  ///< of the Cluster, beside `hosts`
  mutable std::optional<Endpoint> moved_;      ///< where a Cluster sent us; forgotten when it does not answer
  mutable std::optional<std::pair<Endpoint, Endpoint>> last_change_;  ///< of the master: from, to
  mutable std::chrono::steady_clock::time_point changing_until_{}, demoted_until_{};
};

}  // namespace kiseki::net::redis
