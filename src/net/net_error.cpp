#include "net/net_error.hpp"

#include <cerrno>
#include <string>

namespace kiseki::net {

namespace {

class NetCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "net"; }
  std::string message(int code) const override {
    switch (static_cast<NetErrc>(code)) {
      case NetErrc::unknown_host:
        return "the host name has no address";
      case NetErrc::untrusted:
        return "the server's certificate is not trusted";
      case NetErrc::tls_failed:
        return "the TLS handshake failed";
      case NetErrc::malformed:
        return "the server's answer is not valid HTTP";
      case NetErrc::too_large:
        return "the server's answer is larger than expected";
      case NetErrc::proxy_refused:
        return "the proxy refused to connect";
    }
    return "unknown network error";
  }
  std::error_condition default_error_condition(int code) const noexcept override {
    auto passing = code == static_cast<int>(NetErrc::unknown_host) || code == static_cast<int>(NetErrc::proxy_refused);
    return {passing ? EAGAIN : EIO, std::generic_category()};
  }
};

}  // namespace

const std::error_category& net_category() {
  static const NetCategory category;
  return category;
}

}  // namespace kiseki::net
