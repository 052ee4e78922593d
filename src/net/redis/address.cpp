#include "net/redis/address.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "core/numbers.hpp"
#include "core/result.hpp"
#include "core/units.hpp"

namespace kiseki::net::redis {
namespace {

using Environment = std::function<std::optional<std::string>(const char*)>;

Failure bad(std::string why) { return {posix(EINVAL), std::move(why)}; }

std::optional<std::string> process_variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? std::optional<std::string>(value) : std::nullopt;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  auto lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// %XX becomes a byte; in a query also + a blank.
std::string decoded(std::string_view text, bool query = false) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto is_code = text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0;
    if (is_code) {
      out += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
      i += 2;
    } else {
      out += query && text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::pair<std::string_view, std::string_view> cut(std::string_view text, char at) {
  auto where = text.find(at);
  if (where == text.npos) return {text, {}};
  return {text.substr(0, where), text.substr(where + 1)};
}

// ---- hosts ------------------------------------------------------------------------------------------------------

/// "HOST", "HOST:PORT", "[IPV6]:PORT", ":PORT".
Explained<Endpoint> endpoint_of(std::string_view text, std::uint16_t default_port) {
  Endpoint out{.host = {}, .port = default_port};
  std::string_view port;
  if (text.starts_with('[')) {
    auto end = text.find(']');
    if (end == text.npos) return bad(fmt::format("\"{}\" in the Redis URL lacks a ]", text));
    out.host = text.substr(1, end - 1);
    port = text.substr(end + 1);
  } else {
    auto colon = text.find(':');
    out.host = text.substr(0, colon);
    if (colon != text.npos) port = text.substr(colon);
  }
  if (out.host.empty()) out.host = "localhost";
  if (port.empty() || port == ":") return out;
  auto number = port.starts_with(':') ? whole_number<std::uint16_t>(port.substr(1)) : std::nullopt;
  if (!number || *number == 0) return bad(fmt::format("\"{}\" in the Redis URL: no such port", text));
  out.port = *number;
  return out;
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> out;
  while (true) {
    auto where = text.find(at);
    out.push_back(text.substr(0, where));
    if (where == text.npos) return out;
    text.remove_prefix(where + 1);
  }
}

/// A Sentinel without a port has the last one's.
Explained<void> set_sentinels(Address& to, const std::vector<std::string_view>& parts) {
  to.kind = Address::Kind::sentinel;
  to.master_name = decoded(parts[0]);
  constexpr std::uint16_t kNone = 0, kSentinelPort = 26379;
  auto last = endpoint_of(parts.back(), kNone);
  if (!last) return last.error();
  auto port = last->port == kNone ? kSentinelPort : last->port;
  for (std::size_t i = 1; i < parts.size(); ++i) {
    auto endpoint = endpoint_of(parts[i], port);
    if (!endpoint) return endpoint.error();
    to.hosts.push_back(std::move(*endpoint));
  }
  return {};
}

Explained<void> set_hosts(Address& to, std::string_view hosts) {
  auto comma = hosts.find(','), colon = hosts.find(':');
  auto parts = split(hosts, ',');
  if (comma != hosts.npos && colon != hosts.npos && comma < colon) return set_sentinels(to, parts);
  if (comma != hosts.npos) to.kind = Address::Kind::cluster;
  for (auto part : parts) {
    auto endpoint = endpoint_of(part, 6379);
    if (!endpoint) return endpoint.error();
    to.hosts.push_back(std::move(*endpoint));
  }
  return {};
}

Explained<void> set_db(Address& to, std::string_view text) {
  auto db = whole_number<unsigned>(text);
  if (!db) return bad(fmt::format("\"{}\" in the Redis URL is no database number", text));
  to.db = *db;
  return {};
}

// ---- options ----------------------------------------------------------------------------------------------------

Explained<void> set_time(std::chrono::milliseconds& to, std::string_view key, const std::string& value) {
  auto time = units::parse_duration(value);
  if (!time || (*time).count() < 0 || *time > std::chrono::hours(24))
    return bad(fmt::format("{}={} in the Redis URL: a time such as 20ms or 10s", key, value));
  to = std::chrono::duration_cast<std::chrono::milliseconds>(*time);
  return {};
}

/// Options of another driver's connection pool (we have one connection per loop) and of its cache (ours is the
/// client's).
bool without_effect(std::string_view key) {
  constexpr std::string_view kKeys[] = {"protocol",
                                        "max_retries",
                                        "pool_fifo",
                                        "pool_size",
                                        "pool_timeout",
                                        "min_idle_conns",
                                        "max_idle_conns",
                                        "max_active_conns",
                                        "idle_timeout",
                                        "conn_max_idle_time",
                                        "conn_max_lifetime",
                                        "max_conn_age",
                                        "conn_max_lifetime_jitter",
                                        "max_concurrent_dials",
                                        "client-cache-size",
                                        "client_cache_size",
                                        "client-cache-expire",
                                        "client_cache_expire",
                                        "client-cache-preload",
                                        "client_cache_preload"};
  return std::ranges::find(kKeys, key) != std::end(kKeys);
}

bool is_true(std::string_view value) { return value == "true" || value == "1" || value == "yes" || value == "on"; }

Explained<void> set_route(Address& to, const std::string& value) {
  if (!value.empty() && value != "replica" && value != "random" && value != "latency")
    return bad(fmt::format("route-read={} in the Redis URL: allowed are replica, random and latency", value));
  to.route_read = value;
  return {};
}

/// The value of an option that is plain text, or nullptr.
std::string* text_option(Address& to, std::string_view key) {
  if (key == "tls-cert-file") return &to.tls.cert_file;
  if (key == "tls-key-file") return &to.tls.key_file;
  if (key == "tls-ca-cert-file") return &to.tls.ca_file;
  if (key == "tls-server-name") return &to.tls.server_name;
  if (key == "client_name") return &to.client_name;
  return nullptr;
}

std::chrono::milliseconds* time_option(Address& to, std::string_view key) {
  if (key == "min-retry-backoff" || key == "min_retry_backoff") return &to.min_backoff;
  if (key == "max-retry-backoff" || key == "max_retry_backoff") return &to.max_backoff;
  if (key == "read-timeout" || key == "read_timeout") return &to.read_timeout;
  if (key == "write-timeout" || key == "write_timeout") return &to.write_timeout;
  if (key == "dial_timeout") return &to.connect_timeout;
  if (key == "wait-timeout") return &to.wait_timeout;
  return nullptr;
}

Explained<void> set_option(Address& to, std::string_view key, const std::string& value) {
  if (auto* text = text_option(to, key)) {
    *text = value;
    return {};
  }
  if (auto* time = time_option(to, key)) return set_time(*time, key, value);
  if (key == "db") return set_db(to, value);
  if (key == "route-read") return set_route(to, value);
  if (key == "insecure-skip-verify") {
    to.tls.verify = value.empty();
    return {};
  }
  if (key == "skip_verify") {
    to.tls.verify = !is_true(value);
    return {};
  }
  if (key == "client-cache") {
    if (!value.empty()) to.client_cache = value != "false";
    return {};
  }
  if (key == "wait-replicas") {
    auto count = whole_number<unsigned>(value);
    if (!count) return bad(fmt::format("{}={} in the Redis URL: a number of replicas", key, value));
    to.wait_replicas = *count;
    return {};
  }
  if (without_effect(key)) return {};
  return bad(fmt::format("unknown option \"{}\" in the Redis URL; see the documentation of `kiseki format`", key));
}

Explained<void> set_options(Address& to, std::string_view query) {
  if (query.empty()) return {};
  for (auto pair : split(query, '&')) {
    if (pair.empty()) continue;
    auto [key, value] = cut(pair, '=');
    auto set = set_option(to, decoded(key, true), decoded(value, true));
    if (!set) return set.error();
  }
  return {};
}

// ---- secrets ----------------------------------------------------------------------------------------------------

Explained<void> find_passwords(Address& to, const Environment& env) {
  to.sentinel_password = env("SENTINEL_PASSWORD").value_or("");
  for (const char* name : {"REDIS_PASSWORD", "META_PASSWORD"}) {
    if (to.password.empty()) to.password = env(name).value_or("");
  }
  auto file = env("META_PASSWORD_FILE").value_or("");
  if (!to.password.empty() || file.empty()) return {};
  std::ifstream in(file, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (!in) return bad(fmt::format("cannot read META_PASSWORD_FILE {}", file));
  constexpr const char* kBlank = " \t\r\n\v\f";
  auto from = text.find_first_not_of(kBlank), to_here = text.find_last_not_of(kBlank);
  if (from != text.npos) to.password = text.substr(from, to_here - from + 1);
  return {};
}

void set_user(Address& to, std::string_view info) {
  auto [user, password] = cut(info, ':');
  to.user = decoded(user);
  to.password = decoded(password);
}

Explained<void> set_place(Address& to, std::string_view scheme, std::string_view rest) {
  auto at = rest.rfind('@');
  if (at != rest.npos) {
    set_user(to, rest.substr(0, at));
    rest.remove_prefix(at + 1);
  }
  if (scheme == "unix") {
    if (rest.empty()) return bad("a unix:// URL needs the path of a socket: unix:///run/redis.sock?db=1");
    to.hosts.push_back({.host = {}, .port = 0, .path = decoded(rest)});
    return {};
  }
  auto [hosts, path] = cut(rest, '/');
  auto set = set_hosts(to, hosts);
  if (!set) return set.error();
  while (path.ends_with('/')) path.remove_suffix(1);
  return path.empty() ? Explained<void>() : set_db(to, path);
}

}  // namespace

std::string Endpoint::shown() const {
  if (!path.empty()) return path;
  return host.find(':') == host.npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

Explained<Address> Address::parse(std::string_view url, const Environment& env) {
  Address out;
  auto border = url.find("://");
  auto scheme = border == url.npos ? std::string_view("redis") : url.substr(0, border);
  auto rest = border == url.npos ? url : url.substr(border + 3);
  if (scheme != "redis" && scheme != "rediss" && scheme != "unix")
    return bad(fmt::format("{}:// is no scheme of Redis: use redis://, rediss:// or unix://", scheme));
  out.tls.on = scheme == "rediss";
  auto [place, query] = cut(rest, '?');
  auto placed = set_place(out, scheme, place);
  if (!placed) return placed.error();
  auto set = set_options(out, query);
  if (!set) return set.error();
  auto found = find_passwords(out, env ? env : process_variable);
  if (!found) return found.error();
  if (out.tls.cert_file.empty() != out.tls.key_file.empty())
    return bad("tls-cert-file and tls-key-file in the Redis URL belong together");
  return out;
}

std::string Address::shown() const {
  std::string places;
  for (const auto& host : hosts) places += (places.empty() ? "" : ",") + host.shown();
  if (kind == Kind::sentinel) return fmt::format("{} of Sentinels {}", master_name, places);
  return places;
}

}  // namespace kiseki::net::redis
