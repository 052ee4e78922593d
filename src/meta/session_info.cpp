#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <array>
#include <boost/json.hpp>
#include <ctime>

#include "meta/session.hpp"
#include "meta/this_process.hpp"

namespace kiseki::meta {

namespace {

namespace json = boost::json;

std::vector<std::string> own_addresses() {
  std::vector<std::string> found;
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return found;
  for (auto* at = all; at; at = at->ifa_next) {
    if (!at->ifa_addr || (at->ifa_flags & IFF_LOOPBACK) || !(at->ifa_flags & IFF_UP)) continue;
    std::array<char, INET6_ADDRSTRLEN> text{};
    const void* address = nullptr;
    auto family = at->ifa_addr->sa_family;
    if (family == AF_INET) address = &reinterpret_cast<const sockaddr_in*>(at->ifa_addr)->sin_addr;
    if (family == AF_INET6) {
      auto& v6 = reinterpret_cast<const sockaddr_in6*>(at->ifa_addr)->sin6_addr;
      if (!IN6_IS_ADDR_LINKLOCAL(&v6)) address = &v6;
    }
    if (address && ::inet_ntop(family, address, text.data(), text.size())) found.emplace_back(text.data());
  }
  ::freeifaddrs(all);
  return found;
}

/// RFC 3339 with fraction, UTC.
std::string rfc3339(Timestamp at) {
  std::time_t seconds = at.sec;
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 32> text{};
  auto size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  return fmt::format("{}.{:09}Z", std::string_view(text.data(), size), at.nsec);
}

Timestamp parse_rfc3339(const std::string& text) {
  std::tm utc{};
  auto* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &utc);
  if (!rest) return {};
  Timestamp at{::timegm(&utc), 0};
  if (*rest == '.') {
    std::uint32_t unit = 100'000'000;
    for (++rest; *rest >= '0' && *rest <= '9'; ++rest, unit /= 10)
      at.nsec += static_cast<std::uint32_t>(*rest - '0') * unit;
  }
  int hours = 0, minutes = 0;
  if ((*rest == '+' || *rest == '-') && std::sscanf(rest + 1, "%2d:%2d", &hours, &minutes) == 2)
    at.sec -= (*rest == '+' ? 1 : -1) * (hours * 3600 + minutes * 60);
  return at;
}

std::string text_of(const json::object& object, std::string_view key) {
  auto* value = object.if_contains(key);
  return value && value->is_string() ? std::string(value->as_string()) : std::string();
}

}  // namespace

SessionInfo SessionInfo::of_this_process(std::string version, std::string mount_point, Timestamp now) {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  SessionInfo info;
  info.version = std::move(version);
  info.host = host.data();
  info.mount_point = std::move(mount_point);
  info.addresses = own_addresses();
  info.mounted_at = now;
  info.process_id = ::getpid();
  info.process = process_mark(info.process_id);
  return info;
}

std::string SessionInfo::to_json() const {
  json::object object;
  object["Version"] = version;
  object["HostName"] = host;
  if (!addresses.empty()) {
    json::array list;
    for (auto& address : addresses) list.emplace_back(address);
    object["IPAddrs"] = std::move(list);
  }
  object["MountPoint"] = mount_point;
  object["MountTime"] = rfc3339(mounted_at);
  object["ProcessID"] = process_id;
  if (!process.empty()) object["Process"] = process;
  return json::serialize(object);
}

Result<SessionInfo> SessionInfo::parse(std::string_view text) {
  boost::system::error_code failed;
  auto value = json::parse(json::string_view(text.data(), text.size()), failed);
  if (failed || !value.is_object()) return posix(EINVAL);
  auto& object = value.as_object();
  SessionInfo info;
  info.version = text_of(object, "Version");
  info.host = text_of(object, "HostName");
  info.mount_point = text_of(object, "MountPoint");
  info.process = text_of(object, "Process");
  info.mounted_at = parse_rfc3339(text_of(object, "MountTime"));
  if (auto* pid = object.if_contains("ProcessID"); pid && pid->is_int64()) info.process_id = pid->as_int64();
  if (auto* list = object.if_contains("IPAddrs"); list && list->is_array())
    for (auto& address : list->as_array())
      if (address.is_string()) info.addresses.emplace_back(address.as_string());
  return info;
}

}  // namespace kiseki::meta
