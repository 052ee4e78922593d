#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "core/runtime.hpp"

namespace kiseki::net {

/// What to do when the port asked for is taken. `wait`: listen there as soon as it is free, for ten seconds; the kernel
/// still closes the sockets of a process that was killed.
enum class IfBusy { fail, any_port, wait };

/// Serves GET /metrics (Prometheus text) and GET /healthz over HTTP/1.1 to at most 32 connections at a time, on loop 0.
/// A request that takes longer than 30 s to come or to be answered ends its connection.
class MetricsServer {
 public:
  explicit MetricsServer(Runtime& runtime);
  ~MetricsServer();  ///< after close(), or never started
  MetricsServer(const MetricsServer&) = delete;

  /// Listens on `HOST:PORT` (no host: every address; port 0: any). Once, at start-up: resolving a host name blocks.
  /// Answers the port. Errors: EINVAL (not HOST:PORT), EADDRNOTAVAIL (unknown host, foreign address), EADDRINUSE,
  /// EACCES.
  Result<std::uint16_t> start(std::string_view host_port, IfBusy if_busy = IfBusy::fail);
  /// "HOST:PORT" as it listens, or will; empty before start.
  const std::string& address() const;
  /// Ends every connection; then no coroutine of ours exists. Any loop.
  asio::awaitable<void> close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kiseki::net
