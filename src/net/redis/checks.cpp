#include "net/redis/checks.hpp"

#include <spdlog/fmt/fmt.h>

#include <charconv>

#include "core/async.hpp"
#include "core/log.hpp"
#include "net/redis/errc.hpp"

namespace kiseki::net::redis {
namespace {

constexpr int kOldestMajor = 4;
constexpr auto kBetweenTries = std::chrono::milliseconds(100);

/// The value of "name:" in the text of INFO.
std::string_view info_field(std::string_view info, std::string_view name) {
  for (std::size_t at = 0; at < info.size();) {
    auto end = std::min(info.find('\n', at), info.size());
    auto line = info.substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with(name) && line.substr(name.size()).starts_with(':')) return line.substr(name.size() + 1);
    at = end + 1;
  }
  return {};
}

int major_of(std::string_view version) {
  int major = 0;
  std::from_chars(version.data(), version.data() + version.size(), major);
  return major;
}

asio::awaitable<void> forbid_eviction(Link& link, const std::string& server, std::string_view policy, bool read_only) {
  std::string outcome = "left alone by a read-only mount";
  if (!read_only) {
    auto reply = co_await link.ask_one(Command("CONFIG", "SET", "maxmemory-policy", "noeviction"));
    auto fine = reply && !reply->is_error();
    outcome = fine ? "changed to noeviction" : reply ? reply->text : reply.error().message();
  }
  log::warn("redis.maxmemory_policy",
            {{"server", server},
             {"policy", policy},
             {"danger", "Redis may throw away metadata when its memory is full; noeviction is needed"},
             {"outcome", outcome}});
}

/// Connects, asking again for `patience` unless the server says no for good.
Async<Topology::Connected> connect_patiently(const Topology& topology, Commands ask, Replies& replies, std::string& why,
                                             std::chrono::milliseconds patience) {
  auto end = std::chrono::steady_clock::now() + patience;
  while (true) {
    auto connected = co_await topology.connect(ask, replies, why);
    auto for_good = !connected && (connected.error() == Errc::denied || connected.error() == posix(EPROTO));
    if (connected || for_good || std::chrono::steady_clock::now() >= end) co_return connected;
    co_await sleep_for(kBetweenTries);
  }
}

bool is_cluster(const Reply& cluster_info) {
  auto says = cluster_info.is_error() ? std::string_view("cluster mode") : std::string_view("cluster_state:");
  return cluster_info.text.find(says) != std::string::npos;
}

}  // namespace

asio::awaitable<Explained<Findings>> examine(const Topology& topology, std::chrono::milliseconds patience,
                                             bool read_only) {
  auto server = topology.address().shown();
  Commands ask;
  ask.emplace_back("INFO");
  ask.emplace_back("CLUSTER", "INFO");
  Replies replies;
  std::string why;
  auto connected = co_await connect_patiently(topology, std::move(ask), replies, why, patience);
  auto single = topology.address().kind == Address::Kind::standalone;
  if (!connected && single && why.find("cluster mode") != why.npos) co_return Findings{.cluster = true};  // of SELECT
  if (!connected) co_return Failure{connected.error(), fmt::format("cannot use Redis: {}", why)};
  std::string_view info = replies[0].text;
  if (replies[0].is_error()) co_return Failure{Errc::denied, fmt::format("Redis at {} says: {}", server, info)};
  auto version = info_field(info, "redis_version");
  if (major_of(version) < kOldestMajor)
    co_return Failure{posix(ENOTSUP),
                      fmt::format("Redis at {} is version {}: at least {}.0 is needed", server, version, kOldestMajor)};
  if (info_field(info, "aof_enabled") == "0" && !read_only)
    log::warn(
        "redis.no_aof",
        {{"server", server}, {"danger", "what Redis has acknowledged may be lost when it stops: set appendonly yes"}});
  auto policy = info_field(info, "maxmemory_policy");
  auto on_flash = info_field(info, "storage_provider") == "flash";
  if (!policy.empty() && policy != "noeviction" && !on_flash)
    co_await forbid_eviction(*connected->link, server, policy, read_only);
  co_return Findings{.cluster = single && is_cluster(replies[1])};
}

}  // namespace kiseki::net::redis
