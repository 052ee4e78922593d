#include "net/name_lookup.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <random>

#include "core/async.hpp"
#include "net/net_error.hpp"

namespace kiseki::net {

namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr auto kKept = std::chrono::minutes(1);
constexpr auto kFailureKept = std::chrono::seconds(1);  // nobody hammers a resolver that says no
constexpr std::size_t kMaxNames = 64;
constexpr std::size_t kMaxAddresses = 32;

using Addresses = std::vector<SocketAddress>;

int family_of(const SocketAddress& address) {
  sockaddr head{};
  std::memcpy(&head, address.bytes, sizeof head);
  return head.sa_family;
}

void set_port(SocketAddress& address, std::uint16_t port) {
  auto wire = htons(port);
  auto at = family_of(address) == AF_INET6 ? offsetof(sockaddr_in6, sin6_port) : offsetof(sockaddr_in, sin_port);
  std::memcpy(address.bytes + at, &wire, sizeof wire);
}

Addresses ask(const std::string& host, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return {};
  Addresses out;
  for (auto* at = found; at && out.size() < kMaxAddresses; at = at->ai_next) {
    if (at->ai_family != AF_INET && at->ai_family != AF_INET6) continue;
    auto& address = out.emplace_back();
    address.size = at->ai_addrlen;
    std::memcpy(address.bytes, at->ai_addr, std::min<std::size_t>(at->ai_addrlen, sizeof address.bytes));
  }
  ::freeaddrinfo(found);
  return out;
}

/// Random order, families taking turns: a family that leads nowhere costs one attempt, not all.
Addresses shuffled(const Addresses& from) {
  thread_local std::mt19937 random{std::random_device{}()};
  Addresses six, four;
  for (const auto& address : from) (family_of(address) == AF_INET6 ? six : four).push_back(address);
  std::ranges::shuffle(six, random);
  std::ranges::shuffle(four, random);
  Addresses out;
  for (std::size_t i = 0; i < std::max(six.size(), four.size()); ++i) {
    if (i < six.size()) out.push_back(six[i]);
    if (i < four.size()) out.push_back(four[i]);
  }
  return out;
}

}  // namespace

struct NameLookup::State {
  explicit State(BlockingPool& p) : pool(p) {}
  struct Name {
    Addresses addresses;
    SteadyClock::time_point until{};
    bool asking = false;
    bool answered = false;
  };
  BlockingPool& pool;
  Signal answered;
  std::mutex mutex;  // guards names
  std::map<std::string, Name> names;

  /// What is known now; nothing while the question is out. Asks when nobody does.
  std::optional<Addresses> look(const std::shared_ptr<State>& self, const std::string& host) {
    std::lock_guard lock(mutex);
    if (names.size() >= kMaxNames && !names.contains(host))
      std::erase_if(names, [](const auto& entry) { return !entry.second.asking; });
    auto& name = names[host];
    if (name.answered && SteadyClock::now() < name.until) return name.addresses;
    if (!std::exchange(name.asking, true)) {
      name.answered = false;
      pool.submit([self, host] { self->answer(host, ask(host, 0)); });
    }
    return std::nullopt;
  }
  void answer(const std::string& host, Addresses addresses) {
    {
      std::lock_guard lock(mutex);
      auto& name = names[host];
      name.until = SteadyClock::now() + (addresses.empty() ? SteadyClock::duration(kFailureKept) : kKept);
      name.addresses = std::move(addresses);
      name.asking = false;
      name.answered = true;
    }
    answered.notify_all();
  }
};

NameLookup::NameLookup(BlockingPool& pool) : state_(std::make_shared<State>(pool)) {}
NameLookup::~NameLookup() = default;

Async<std::vector<SocketAddress>> NameLookup::find(std::string host, std::uint16_t port) {
  auto state = state_;
  auto addresses = ask(host, AI_NUMERICHOST);
  while (addresses.empty()) {
    auto ticket = state->answered.ticket();
    if (auto known = state->look(state, host)) {
      if (known->empty()) co_return NetErrc::unknown_host;
      addresses = shuffled(*known);
      break;
    }
    co_await state->answered.wait(ticket);
  }
  for (auto& address : addresses) set_port(address, port);
  co_return addresses;
}

void NameLookup::forget(const std::string& host) {
  std::lock_guard lock(state_->mutex);
  auto at = state_->names.find(host);
  if (at != state_->names.end() && !at->second.asking) state_->names.erase(at);
}

}  // namespace kiseki::net
