#pragma once

#include <functional>

#include "net/redis/topology.hpp"

namespace kiseki::net::redis {

/// Listens to one Sentinel, tells the topology what it announces of the master, and calls `changes` when connections
/// must be given up: when a fail-over begins, and when another server has become the master. Runs until cancelled.
/// Every Sentinel is listened to: only the one that leads a fail-over announces it before it happens.
asio::awaitable<void> watch_master(const Topology& topology, Endpoint sentinel, std::function<void()> changes);

}  // namespace kiseki::net::redis
