#pragma once

#include <string>

#include "net/http_client.hpp"

namespace kiseki::net {

/// Empty, or a sentence that names the variable by which `environment` wants a proxy for this server that cannot be
/// used: one to be spoken to over TLS, a SOCKS proxy, nonsense. `proxy_for` answers none then, and nobody who wanted a
/// proxy wants to go without.
std::string unusable_proxy(const HttpEndpoint& server, EnvironmentLookup environment);

}  // namespace kiseki::net
