#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/runtime.hpp"
#include "net/redis/address.hpp"
#include "net/redis/link.hpp"
#include "net/redis/stream.hpp"

namespace kiseki::net::redis {

/// Which server to talk to, and how to greet it. Shared by all connections of a client; any thread.
class Topology {
 public:
  Topology(Address address, std::shared_ptr<const TlsContext> tls, BlockingPool& resolver);

  const Address& address() const { return address_; }
  const std::string& key_prefix() const { return key_prefix_; }
  /// The address turned out to be a node of a Cluster. Before the first connection of a loop.
  void become_cluster();

  struct Connected {
    std::unique_ptr<Link> link;
    Endpoint at;
  };
  /// Finds the server, connects and greets it (user, database, name), all within `connect_timeout`; then sends `extra`
  /// (may be empty) whose replies it puts into `extra_replies`. On an error `why` has the sentence.
  Async<Connected> connect(Commands extra, Replies& extra_replies, std::string& why) const;

  /// Connects to one place and greets it, without looking for anything; not bounded.
  Async<std::unique_ptr<Link>> connect_to(Endpoint to, Commands extra, Replies& extra_replies, std::string& why) const;

  /// The server said that the volume's slot has moved.
  void moved_to(Endpoint to) const;

 private:
  Async<Connected> find_and_connect(Commands extra, Replies& extra_replies, std::string& why) const;
  Async<Endpoint> locate(std::string& why) const;
  Commands greeting() const;

  Address address_;
  std::string key_prefix_;
  std::shared_ptr<const TlsContext> tls_;
  BlockingPool& resolver_;
  mutable std::mutex mutex_;               ///< guards what follows
  mutable std::optional<Endpoint> moved_;  ///< where a Cluster sent us; forgotten when it does not answer
};

}  // namespace kiseki::net::redis
