// Which server is the one to talk to: what Sentinels and nodes of a Cluster say.
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <random>

#include "core/async.hpp"
#include "core/numbers.hpp"
#include "net/redis/errc.hpp"
#include "net/redis/slot.hpp"
#include "net/redis/topology.hpp"

namespace kiseki::net::redis {
namespace {

constexpr auto kOneHost = std::chrono::milliseconds(1500);  // then the next one is asked
constexpr std::size_t kMostNodes = 64;                      // remembered beside those of the address

std::uint16_t port_of(std::string_view text) { return whole_number<std::uint16_t>(text).value_or(0); }

/// Any number below `count`, which is not 0.
std::size_t any_of(std::size_t count) {
  thread_local std::minstd_rand chance{std::random_device()()};
  return std::uniform_int_distribution<std::size_t>(0, count - 1)(chance);
}

/// The value after `field` in a flat list of names and values.
std::string_view value_after(const Reply& list, std::string_view field) {
  for (std::size_t i = 0; i + 1 < list.elements.size(); i += 2) {
    if (list.elements[i].text == field) return list.elements[i + 1].text;
  }
  return {};
}

/// A replica that answers, of those SENTINEL REPLICAS lists.
std::optional<Endpoint> replica_of(const Reply& list) {
  std::vector<Endpoint> found;
  for (const auto& replica : list.elements) {
    auto flags = value_after(replica, "flags");
    if (flags.find("down") != flags.npos || flags.find("disconnected") != flags.npos) continue;
    Endpoint at{.host = std::string(value_after(replica, "ip")), .port = port_of(value_after(replica, "port"))};
    if (!at.host.empty() && at.port != 0) found.push_back(std::move(at));
  }
  if (found.empty()) return std::nullopt;
  return found[any_of(found.size())];
}

/// [host, port, ...] as CLUSTER SLOTS gives a node; no host is the one that we asked.
std::optional<Endpoint> node_of(const Reply& node, const Endpoint& asked) {
  if (node.elements.size() < 2 || !node.elements[1].is_integer()) return std::nullopt;
  auto host = node.elements[0].text.empty() ? asked.host : node.elements[0].text;
  return Endpoint{.host = std::move(host), .port = static_cast<std::uint16_t>(node.elements[1].integer)};
}

std::string refusal_of(std::string_view sentinel, std::string_view said) {
  auto remedy =
      said.starts_with("NOAUTH") || said.starts_with("WRONGPASS") ? ". Give its password in SENTINEL_PASSWORD" : "";
  return fmt::format("{} refuses us: {}{}", sentinel, said, remedy);
}

}  // namespace

Async<Endpoint> Topology::locate(std::string& why) const {
  switch (address_.kind) {
    case Address::Kind::sentinel:
      return ask_sentinels(why);
    case Address::Kind::cluster:
      return ask_nodes(why);
    case Address::Kind::standalone:
      break;
  }
  return [](Endpoint only) -> Async<Endpoint> { co_return only; }(address_.hosts.front());
}

Async<std::unique_ptr<Link>> Topology::connect_to_sentinel(Endpoint to, std::string& why) const {
  CO_TRY(auto link, co_await open_link(to, why));
  if (address_.sentinel_password.empty()) co_return std::move(link);
  CO_TRY(auto reply, co_await link->ask_one(Command("AUTH", address_.sentinel_password)));
  if (!reply.is_error()) co_return std::move(link);
  why = refusal_of("the Sentinel " + to.shown(), reply.text);
  co_return Errc::denied;
}

Async<std::unique_ptr<Link>> Topology::connect_to_a_sentinel(std::string& why) const {
  std::error_code last = Errc::unavailable;
  auto first = first_host_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < address_.hosts.size(); ++i) {
    auto host = (first + i) % address_.hosts.size();
    auto link = co_await with_timeout(kOneHost, connect_to_sentinel(address_.hosts[host], why));
    if (link) {
      first_host_.store(host, std::memory_order_relaxed);
      co_return std::move(*link);
    }
    last = link.error();
    if (last == posix(ECANCELED)) break;
  }
  co_return last;
}

Async<Endpoint> Topology::ask_sentinels(std::string& why) const {
  CO_TRY(auto link, co_await connect_to_a_sentinel(why));
  Commands ask;
  ask.emplace_back("SENTINEL", "GET-MASTER-ADDR-BY-NAME", address_.master_name);
  if (wants_replica()) ask.emplace_back("SENTINEL", "REPLICAS", address_.master_name);
  auto replies = co_await with_timeout(kOneHost, link->ask(std::move(ask)));
  auto knows = replies && replies->front().is_array() && replies->front().elements.size() >= 2;
  if (!knows) {
    first_host_.fetch_add(1, std::memory_order_relaxed);  // the next one may know more
    if (!replies) co_return replies.error();
    if (const auto& said = replies->front(); said.is_error()) {
      why = refusal_of("a Sentinel", said.text);
      auto meaning = meaning_of(said);
      co_return meaning ? meaning : std::error_code(Errc::denied);
    }
    why = fmt::format("the Sentinels know no master named \"{}\"", address_.master_name);
    co_return Errc::unavailable;
  }
  const auto& master = replies->front();
  if (wants_replica()) {
    if (auto replica = replica_of(replies->back())) co_return *replica;
  }
  co_return Endpoint{.host = master.elements[0].text, .port = port_of(master.elements[1].text)};
}

Async<Endpoint> Topology::ask_nodes(std::string& why) const {
  auto nodes = address_.hosts;
  {
    std::lock_guard lock(mutex_);
    if (moved_) co_return *moved_;
    nodes.insert(nodes.end(), other_nodes_.begin(), other_nodes_.end());
  }
  std::error_code last = Errc::unavailable;
  auto first = first_host_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    auto node = (first + i) % nodes.size();
    auto owner = co_await with_timeout(kOneHost, owner_of_slot(nodes[node], why));
    if (owner) {
      first_host_.store(node, std::memory_order_relaxed);
      co_return std::move(*owner);
    }
    last = owner.error();
    if (last == posix(ECANCELED)) break;
  }
  co_return last;
}

/// Nodes we were not told of can be asked when those we were told of are gone.
void Topology::remember(const Reply& slots, const Endpoint& asked) const {
  std::lock_guard lock(mutex_);
  for (const auto& range : slots.elements) {
    for (std::size_t i = 2; i < range.elements.size() && other_nodes_.size() < kMostNodes; ++i) {
      auto node = node_of(range.elements[i], asked);
      auto known = !node || std::ranges::find(address_.hosts, *node) != address_.hosts.end() ||
                   std::ranges::find(other_nodes_, *node) != other_nodes_.end();
      if (!known) other_nodes_.push_back(std::move(*node));
    }
  }
}

Async<Endpoint> Topology::owner_of_slot(Endpoint node, std::string& why) const {
  Commands ask;
  ask.emplace_back("CLUSTER", "SLOTS");
  Replies replies;
  CO_TRY(auto link, co_await connect_to(node, std::move(ask), replies, why));
  remember(replies.front(), node);
  const auto slot = static_cast<std::int64_t>(slot_of(key_prefix_));
  for (const auto& range : replies.front().elements) {
    const auto& parts = range.elements;
    if (parts.size() < 3 || parts[0].integer > slot || slot > parts[1].integer) continue;
    auto which = wants_replica() && parts.size() > 3 ? 3 + any_of(parts.size() - 3) : 2;
    if (auto found = node_of(parts[which], node)) co_return *found;
  }
  why = fmt::format("no node of the Cluster serves slot {} (asked {})", slot, node.shown());
  co_return Errc::refused;
}

Endpoint Topology::resolved(std::string_view where, const Endpoint& from) const {
  auto colon = where.rfind(':');
  if (colon == where.npos) return from;
  auto host = where.substr(0, colon);
  return {.host = host.empty() ? from.host : std::string(host), .port = port_of(where.substr(colon + 1))};
}

void Topology::moved_to(std::string_view where, const Endpoint& from) const {
  auto to = resolved(where, from);
  std::lock_guard lock(mutex_);
  moved_ = std::move(to);
}

}  // namespace kiseki::net::redis
