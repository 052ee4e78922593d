#pragma once

#include <chrono>

namespace kiseki::net {

/// How long a connection may keep its caller waiting. Enforced to a tenth of a second.
struct HttpTimeouts {
  std::chrono::milliseconds connect{10'000};  ///< to one address
  std::chrono::milliseconds handshake{20'000};
  std::chrono::milliseconds first_byte{30'000};  ///< from the end of the request to the first byte of the answer
  std::chrono::milliseconds stall{30'000};       ///< without a byte in or out
  std::chrono::milliseconds go_ahead{1'000};     ///< for "100 Continue"; then the body is sent unasked
  std::chrono::milliseconds idle{90'000};        ///< an unused connection is kept so long, or as the server says
};

}  // namespace kiseki::net
