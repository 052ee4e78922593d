#pragma once

#include <string>

#include "net/redis/failure.hpp"
#include "net/redis/topology.hpp"

namespace kiseki::net::redis {

struct Findings {
  bool cluster = false;  ///< the one host we were given is a node of a Cluster
};

/// Looks at a server before it is used: its version (4.0 at least), whether it keeps what it is told (AOF), and whether
/// it may throw away keys when its memory is full (then tries to forbid that, unless `read_only`). What an operator
/// should know goes to the log, one sentence each; a server that cannot be used is a Failure.
/// Tries to connect for `patience`.
asio::awaitable<Explained<Findings>> examine(const Topology& topology, std::chrono::milliseconds patience,
                                             bool read_only);

}  // namespace kiseki::net::redis
