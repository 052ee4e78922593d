#pragma once

#include <functional>

#include "net/redis/topology.hpp"

namespace kiseki::net::redis {

/// Listens to the Sentinels and calls `switched` when they make another server the master. Runs until cancelled; a
/// Sentinel that is lost is replaced by the next.
asio::awaitable<void> watch_master(const Topology& topology, std::function<void()> switched);

}  // namespace kiseki::net::redis
