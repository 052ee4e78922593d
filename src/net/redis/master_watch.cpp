#include "net/redis/master_watch.hpp"

#include <vector>

#include "core/async.hpp"
#include "core/log.hpp"
#include "core/numbers.hpp"

namespace kiseki::net::redis {
namespace {

constexpr auto kPause = std::chrono::milliseconds(500);
constexpr auto kPatience = std::chrono::milliseconds(1500);  // for a connection

// Two turns of the Sentinel's clock (100 to 200 ms) pass between this announcement and the promotion.
constexpr std::string_view kBegins = "+failover-state-select-slave";
constexpr std::string_view kAborts = "-failover-abort-";                 // and a reason
constexpr std::string_view kNotElected = "-failover-abort-not-elected";  // another Sentinel's fail-over goes on
constexpr std::string_view kChanged = "+switch-master";

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    auto end = std::min(text.find(' '), text.size());
    if (end > 0) words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

Endpoint endpoint_of(std::string_view host, std::string_view port) {
  return {.host = std::string(host), .port = whole_number<std::uint16_t>(port).value_or(0)};
}

/// "NAME OLD-IP OLD-PORT NEW-IP NEW-PORT" of +switch-master; "master NAME IP PORT" of the others.
void hear(const Topology& topology, std::string_view event, const std::string& text,
          const std::function<void()>& changes) {
  const auto& address = topology.address();
  auto words = words_of(text);
  if (event == kChanged) {
    if (words.size() < 5 || words[0] != address.master_name) return;
    if (!topology.master_changes(endpoint_of(words[1], words[2]), endpoint_of(words[3], words[4]))) return;
    log::warn("redis.switched_master", {{"server", address.shown()}, {"change", text}});
    return changes();
  }
  if (words.size() < 2 || words[0] != "master" || words[1] != address.master_name) return;
  if (event == kNotElected) return;
  if (event.starts_with(kAborts)) return topology.fail_over_ends();
  if (event != kBegins) return;
  log::warn("redis.fail_over", {{"server", address.shown()}, {"effect", "requests wait for the new master"}});
  topology.fail_over_begins();
  changes();
}

/// Until this Sentinel is lost. A message is [pmessage, pattern, channel, text].
Async<void> listen(const Topology& topology, Endpoint sentinel, const std::function<void()>& changes) {
  std::string why;
  CO_TRY(auto link, co_await with_timeout(kPatience, topology.connect_to_sentinel(std::move(sentinel), why)));
  Command subscribe("PSUBSCRIBE", kBegins, std::string(kAborts) + "*", kChanged);
  CO_CHECK(co_await link->ask_one(std::move(subscribe)));
  while (true) {
    CO_TRY(auto message, co_await link->receive());
    if (message.elements.size() != 4 || message.elements[0].text != "pmessage") continue;
    hear(topology, message.elements[2].text, message.elements[3].text, changes);
  }
}

}  // namespace

asio::awaitable<void> watch_master(const Topology& topology, Endpoint sentinel, std::function<void()> changes) {
  while (true) {
    auto ended = co_await listen(topology, sentinel, changes);
    if (!ended) log::debug("redis.sentinel_lost", {{"sentinel", sentinel.shown()}, {"error", ended.error()}});
    co_await sleep_for(kPause);
  }
}

}  // namespace kiseki::net::redis
