#include "net/redis/master_watch.hpp"

#include "core/async.hpp"
#include "core/log.hpp"

namespace kiseki::net::redis {
namespace {

constexpr auto kPause = std::chrono::milliseconds(500);

/// Until this Sentinel is lost. A message is [message, +switch-master, "NAME OLD-IP OLD-PORT NEW-IP NEW-PORT"].
Async<void> listen_to_one(const Topology& topology, const std::function<void()>& switched) {
  std::string why;
  CO_TRY(auto link, co_await topology.connect_to_sentinel(why));
  CO_CHECK(co_await link->ask_one(Command("SUBSCRIBE", "+switch-master")));
  const auto& address = topology.address();
  while (true) {
    CO_TRY(auto message, co_await link->receive());
    if (message.elements.size() != 3 || message.elements[0].text != "message") continue;
    const auto& text = message.elements[2].text;
    if (!text.starts_with(address.master_name + " ")) continue;
    log::warn("redis.switched_master", {{"server", address.shown()}, {"change", text}});
    switched();
  }
}

}  // namespace

asio::awaitable<void> watch_master(const Topology& topology, std::function<void()> switched) {
  while (true) {
    auto ended = co_await listen_to_one(topology, switched);
    if (!ended) log::debug("redis.sentinel_lost", {{"error", ended.error()}});
    co_await sleep_for(kPause);
  }
}

}  // namespace kiseki::net::redis
