#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "core/runtime.hpp"
#include "net/http_message.hpp"
#include "net/http_timeouts.hpp"
#include "net/tls_client.hpp"

namespace kiseki::net {

/// Speaks HTTP/1.1 to one server, over a proxy if there is one. Connections stay open for the next request, per loop:
/// any loop may call, nothing crosses. A request must be safe to repeat: on a connection that turns out dead before the
/// first byte of its answer, it is sent once more on a fresh one.
class HttpClient {
 public:
  struct Options {
    HttpTimeouts timeouts;
    TlsOptions tls;
    std::optional<HttpUrl> proxy;
    std::size_t most_idle = 256;  ///< connections kept open per loop
  };
  /// Does no network I/O; reads the files `tls` names. `pool`: where host names are looked up.
  HttpClient(HttpEndpoint server, Options options, BlockingPool& pool);
  ~HttpClient();  ///< no request may be under way
  HttpClient(const HttpClient&) = delete;

  /// Empty, or a sentence that says which file of the TLS options does not do: then every request fails.
  const std::string& unusable() const;
  const HttpEndpoint& server() const;

  /// The answer, whatever its status. Errors: errnos of sockets, ETIMEDOUT (also of request.limit), ECANCELED, NetErrc.
  Async<HttpResponse> send(HttpRequest request);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The proxy that `environment` (http_proxy, https_proxy, no_proxy and their upper-case names) wants for a server.
/// Never for loopback addresses. `environment` answers null for what is not set.
using EnvironmentLookup = const char* (*)(const char* name);
std::optional<HttpUrl> proxy_for(const HttpEndpoint& server, EnvironmentLookup environment);

}  // namespace kiseki::net
