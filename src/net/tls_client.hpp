#pragma once

#include <memory>
#include <string>

#include "core/result.hpp"

namespace boost::asio::ssl {
class context;
}

namespace kiseki::net {

/// How a client proves and checks identities. Paths of PEM files.
struct TlsOptions {
  std::string ca_file;             ///< trusted instead of the system's authorities; empty: those
  std::string certificate, key;    ///< of this client; both or none
  bool skip_verification = false;  ///< any certificate will do
  bool operator==(const TlsOptions&) const = default;
};

/// A context for client connections, shared by all threads, or one sentence that names the file that does not do.
struct TlsContext {
  std::shared_ptr<asio::ssl::context> context;
  std::string error;
};
TlsContext make_tls_context(const TlsOptions& options);

}  // namespace kiseki::net
