#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/redis/failure.hpp"

namespace kiseki::net::redis {

struct Endpoint {
  std::string host;
  std::uint16_t port = 6379;
  std::string path{};  ///< of a Unix socket; then host and port mean nothing
  std::string shown() const;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

struct Tls {
  bool on = false;
  bool verify = true;
  std::string ca_file, cert_file, key_file;  ///< PEM; no CA: the system's
  std::string server_name;                   ///< empty: the host we connect to
};

/// A metadata URL of the schemes redis, rediss and unix, read once. Source: JuiceFS 1.4's address forms and options,
/// and two of our own (wait-replicas, wait-timeout).
struct Address {
  enum class Kind { standalone, sentinel, cluster };

  Kind kind = Kind::standalone;
  std::vector<Endpoint> hosts;  ///< the server; or the Sentinels; or nodes of the Cluster
  std::string master_name;      ///< for Sentinels
  std::string user, password, sentinel_password;
  unsigned db = 0;
  Tls tls;
  std::chrono::milliseconds min_backoff{20}, max_backoff{10'000};
  std::chrono::milliseconds connect_timeout{5'000}, read_timeout{30'000}, write_timeout{5'000};
  std::string route_read;                         ///< replica, random, latency; for read-only mounts
  unsigned wait_replicas = 0;                     ///< our own option: a change counts when so many replicas have it
  std::chrono::milliseconds wait_timeout{1'000};  ///< how long one WAIT waits for them
  std::string client_name{};                      ///< shown by CLIENT LIST
  std::optional<bool> client_cache;

  /// `url` with its scheme; `env` answers environment variables (nullptr: the process's). Reads META_PASSWORD_FILE.
  /// An option nobody knows is an error.
  static Explained<Address> parse(std::string_view url,
                                  const std::function<std::optional<std::string>(const char*)>& env = nullptr);
  std::string shown() const;  ///< without secrets
};

}  // namespace kiseki::net::redis
