#pragma once

#include <system_error>

namespace kiseki::net {

/// What goes wrong between two programs and has no errno that says so. In POSIX all of them mean EIO but
/// `unknown_host` and `proxy_refused`, which may pass: EAGAIN.
enum class NetErrc {
  unknown_host = 1,  ///< its name has no address
  untrusted,         ///< its certificate is not signed by who we trust, has expired, or is for another name
  tls_failed,        ///< no common protocol, a client certificate refused, bytes that are no TLS
  malformed,         ///< bytes that are no HTTP answer
  too_large,         ///< an answer larger than the request has room for
  proxy_refused      ///< the proxy does not connect us
};
const std::error_category& net_category();
inline std::error_code make_error_code(NetErrc e) { return {static_cast<int>(e), net_category()}; }

}  // namespace kiseki::net

template <>
struct std::is_error_code_enum<kiseki::net::NetErrc> : std::true_type {};
