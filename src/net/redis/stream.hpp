#pragma once

#include <memory>
#include <span>
#include <string>

#include "core/result.hpp"
#include "net/name_lookup.hpp"
#include "net/redis/address.hpp"
#include "net/redis/failure.hpp"

namespace boost::asio::ssl {
class context;
}

namespace kiseki::net::redis {

/// How connections are secured; read once, shared by all of them.
struct TlsContext {
  std::shared_ptr<asio::ssl::context> context;
  bool verify = true;
  std::string server_name;  ///< empty: the host we connect to
  static Explained<std::shared_ptr<const TlsContext>> load(const Tls& tls);
};

/// A byte stream to a server: TCP, a Unix socket, or TLS over TCP. Lives on one loop; one read and one write at a time.
class Stream {
 public:
  virtual ~Stream() = default;
  virtual Async<std::size_t> read_some(std::span<char> into) = 0;         ///< at least one byte; EPIPE at the end
  virtual Async<std::size_t> write_some(std::span<const char> from) = 0;  ///< at least one byte
  /// Ends it: what waits in read_some or write_some comes back with an error. Idempotent.
  virtual void close() noexcept = 0;

  /// Connects on the executor of the caller. `tls`: none for plain text. Not bounded by itself. On an
  /// error `why` says more than its code.
  static Async<std::unique_ptr<Stream>> connect(Endpoint to, std::shared_ptr<const TlsContext> tls, NameLookup& names,
                                                std::string& why);
};

}  // namespace kiseki::net::redis
