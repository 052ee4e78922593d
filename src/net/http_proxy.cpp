#include "net/http_proxy.hpp"

#include <arpa/inet.h>

#include <cstring>
#include <initializer_list>

#include "core/numbers.hpp"

namespace kiseki::net {

namespace {

struct Variable {
  std::string_view name, value;
};

/// The first that is set, or none.
Variable first_of(EnvironmentLookup environment, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const char* value = environment(name);
    if (value && *value) return {name, value};
  }
  return {};
}

bool is_loopback(const std::string& host) {
  if (equal_ignoring_case(host, "localhost")) return true;
  in_addr four{};
  if (::inet_pton(AF_INET, host.c_str(), &four) == 1) return (ntohl(four.s_addr) >> 24) == 127;
  in6_addr six{};
  return ::inet_pton(AF_INET6, host.c_str(), &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

bool ends_with_ignoring_case(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && equal_ignoring_case(text.substr(text.size() - end.size()), end);
}

/// Whether an address lies in a network: "10.0.0.0/8", "fd00::/8".
bool in_network(const std::string& host, std::string_view network) {
  auto slash = network.find('/');
  auto base = std::string(network.substr(0, slash));
  auto bits = whole_number<std::size_t>(network.substr(slash + 1));
  for (int family : {AF_INET, AF_INET6}) {
    unsigned char address[16], first[16];
    if (::inet_pton(family, host.c_str(), address) != 1 || ::inet_pton(family, base.c_str(), first) != 1) continue;
    if (!bits || *bits > (family == AF_INET ? 32u : 128u)) return false;
    auto bytes = *bits / 8, rest = *bits % 8;
    return std::memcmp(address, first, bytes) == 0 && (rest == 0 || (address[bytes] ^ first[bytes]) >> (8 - rest) == 0);
  }
  return false;
}

/// One word of no_proxy: "*", "host", ".domain", "*.domain", each also with ":port", or a network. A name means its
/// subdomains too.
bool covers(std::string_view word, const HttpEndpoint& server) {
  if (word == "*") return true;
  if (word.find('/') != std::string_view::npos) return in_network(server.host, word);
  if (auto colon = word.rfind(':'); colon != std::string_view::npos && word.find(':') == colon) {
    if (word.substr(colon + 1) != std::to_string(server.port)) return false;
    word = word.substr(0, colon);
  }
  if (word.starts_with('*')) word.remove_prefix(1);
  bool only_below = word.starts_with('.');
  if (word.empty()) return false;
  if (!only_below && equal_ignoring_case(word, server.host)) return true;
  auto below = only_below ? std::string(word) : "." + std::string(word);
  return ends_with_ignoring_case(server.host, below);
}

bool is_exempt(std::string_view list, const HttpEndpoint& server) {
  while (!list.empty()) {
    auto end = std::min(list.find(','), list.size());
    auto word = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    while (!word.empty() && word.front() == ' ') word.remove_prefix(1);
    while (!word.empty() && word.back() == ' ') word.remove_suffix(1);
    if (!word.empty() && covers(word, server)) return true;
  }
  return false;
}

Variable proxy_variable(const HttpEndpoint& server, EnvironmentLookup environment) {
  auto named = server.tls ? first_of(environment, {"HTTPS_PROXY", "https_proxy"})
                          : first_of(environment, {"HTTP_PROXY", "http_proxy"});
  if (named.value.empty() || is_loopback(server.host)) return {};
  if (is_exempt(first_of(environment, {"NO_PROXY", "no_proxy"}).value, server)) return {};
  return named;
}

}  // namespace

std::optional<HttpUrl> proxy_for(const HttpEndpoint& server, EnvironmentLookup environment) {
  auto named = proxy_variable(server, environment);
  if (named.value.empty()) return std::nullopt;
  auto text = std::string(named.value);
  if (text.find("://") == std::string::npos) text = "http://" + text;
  auto url = HttpUrl::parse(text);
  if (url && url->endpoint.tls) return std::nullopt;  // TLS to the proxy itself is not spoken
  return url;
}

std::string unusable_proxy(const HttpEndpoint& server, EnvironmentLookup environment) {
  auto named = proxy_variable(server, environment);
  if (named.value.empty() || proxy_for(server, environment)) return "";
  return std::string(named.name) +  // not its value: a password may stand there
         " names no proxy that is supported; allowed: http://[USER:PASSWORD@]HOST:PORT, or put " + server.host +
         " into NO_PROXY";
}

}  // namespace kiseki::net
