#pragma once

#include <memory>
#include <string>

#include "core/result.hpp"
#include "net/byte_stream.hpp"
#include "net/name_lookup.hpp"
#include "net/redis/address.hpp"
#include "net/redis/failure.hpp"

namespace kiseki::net::redis {

/// How connections are secured; read once, shared by all of them.
struct TlsContext {
  std::shared_ptr<asio::ssl::context> context;
  bool verify = true;
  std::string server_name;  ///< empty: the host we connect to
  static Explained<std::shared_ptr<const TlsContext>> load(const Tls& tls);
};

/// A connection to a server: TCP, a Unix socket, or TLS over TCP; `tls`: none for plain text. On the executor of the
/// caller. Not bounded by itself. Errors: an errno, EPROTO for trouble with TLS; `why` says more.
Async<std::unique_ptr<ByteStream>> connect_stream(Endpoint to, std::shared_ptr<const TlsContext> tls, NameLookup& names,
                                                  std::string& why);

}  // namespace kiseki::net::redis
