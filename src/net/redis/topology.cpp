#include "net/redis/topology.hpp"

#include <spdlog/fmt/fmt.h>

#include "core/async.hpp"
#include "net/redis/errc.hpp"

namespace kiseki::net::redis {

Topology::Topology(Address address, std::shared_ptr<const TlsContext> tls, NameLookup& names, bool replicas)
    : address_(std::move(address)), tls_(std::move(tls)), names_(names), replicas_(replicas) {
  if (address_.kind == Address::Kind::cluster) become_cluster();
}

void Topology::become_cluster() {
  address_.kind = Address::Kind::cluster;
  key_prefix_ = fmt::format("{{{}}}", address_.db);
}

Commands Topology::greeting() const {
  Commands out;
  if (!address_.password.empty()) {
    auto& auth = out.emplace_back("AUTH");
    if (!address_.user.empty()) auth.add(address_.user);
    auth.add(address_.password);
  }
  if (address_.kind != Address::Kind::cluster && address_.db != 0) out.emplace_back("SELECT", address_.db);
  if (address_.kind == Address::Kind::cluster && wants_replica()) out.emplace_back("READONLY");
  if (!address_.client_name.empty()) out.emplace_back("CLIENT", "SETNAME", address_.client_name);
  out.emplace_back("PING");  // a kernel accepts for a server that is stopped: only an answer is a connection
  return out;
}

Async<Topology::Connected> Topology::connect(Commands extra, Replies& extra_replies, std::string& why) const {
  auto attempt = find_and_connect(std::move(extra), extra_replies, why);
  auto connected = co_await with_timeout(address_.connect_timeout, std::move(attempt));
  if (!connected && why.empty()) why = connected.error().message();
  co_return connected;
}

Async<Topology::Connected> Topology::find_and_connect(Commands extra, Replies& extra_replies, std::string& why) const {
  Connected out;
  CO_TRY(out.at, co_await locate(why));
  auto must_be_master = address_.kind == Address::Kind::sentinel && !wants_replica();
  if (must_be_master) CO_CHECK(may_be_master(out.at, why));
  if (must_be_master) extra.emplace(extra.begin(), "ROLE");
  auto link = co_await connect_to(out.at, std::move(extra), extra_replies, why);
  if (!link) {
    std::lock_guard lock(mutex_);
    moved_.reset();
    co_return link.error();
  }
  if (must_be_master) {
    auto role = std::move(extra_replies.front());
    extra_replies.erase(extra_replies.begin());
    auto master = role.is_array() && !role.elements.empty() && role.elements.front().text == "master";
    if (!master) {
      why = fmt::format("{} is no master (yet)", out.at.shown());
      co_return Errc::refused;
    }
  }
  out.link = std::move(*link);
  co_return std::move(out);
}

namespace {

constexpr auto kLongestChange = std::chrono::seconds(10);  // then the Sentinels are asked, whatever they announced
constexpr auto kDemotion = std::chrono::seconds(20);       // in which the old master learns of it

}  // namespace

void Topology::fail_over_begins() const {
  std::lock_guard lock(mutex_);
  ++announced_;
  changing_until_ = std::chrono::steady_clock::now() + kLongestChange;
}

void Topology::fail_over_ends() const {
  std::lock_guard lock(mutex_);
  changing_until_ = {};
}

bool Topology::master_changes(Endpoint from, Endpoint to) const {
  std::lock_guard lock(mutex_);
  std::pair change(std::move(from), std::move(to));
  auto known = last_change_ == change && std::chrono::steady_clock::now() < demoted_until_;
  changing_until_ = {};
  if (known) return false;
  ++announced_;
  last_change_ = std::move(change);
  demoted_until_ = std::chrono::steady_clock::now() + kDemotion;
  return true;
}

Result<void> Topology::may_be_master(const Endpoint& found, std::string& why) const {
  std::lock_guard lock(mutex_);
  auto now = std::chrono::steady_clock::now();
  if (now < changing_until_) {
    why = "the Sentinels are making another server the master";
    return Errc::refused;
  }
  if (now < demoted_until_ && found == last_change_->first) {
    why = fmt::format("{} is no master any more", found.shown());
    return Errc::refused;
  }
  return {};
}

Async<std::unique_ptr<Link>> Topology::open_link(Endpoint to, std::string& why) const {
  std::string detail;
  auto stream = co_await connect_stream(to, tls_, names_, detail);
  if (!stream) {
    why = fmt::format("cannot connect to {}: {}", to.shown(), detail);
    co_return stream.error();
  }
  co_return std::make_unique<Link>(std::move(*stream));
}

namespace {

/// What a person can do about words of the server that do not say so.
std::string_view remedy_of(std::string_view refusal) {
  if (refusal.starts_with("NOAUTH") || refusal.starts_with("WRONGPASS"))
    return " Give the password in META_PASSWORD, or as redis://:PASSWORD@HOST";
  return "";
}

/// Why somebody who listens gave no answer that is one.
std::string silence_of(std::error_code error) {
  if (error == posix(ECANCELED)) return "does not answer in time";
  if (error == posix(EPROTO)) return "does not speak Redis's protocol: check host and port";
  return "does not answer: " + error.message();
}

}  // namespace

Async<std::unique_ptr<Link>> Topology::connect_to(Endpoint to, Commands extra, Replies& extra_replies,
                                                  std::string& why) const {
  CO_TRY(auto link, co_await open_link(to, why));
  auto commands = greeting();
  auto greeted = commands.size();
  for (auto& command : extra) commands.push_back(std::move(command));
  auto replies = co_await link->ask(std::move(commands));
  if (!replies) {
    why = fmt::format("{} {}", to.shown(), silence_of(replies.error()));
    co_return replies.error();
  }
  for (std::size_t i = 0; i < greeted; ++i) {
    const auto& reply = (*replies)[i];
    auto loading = i + 1 == greeted && meaning_of(reply) == Errc::refused;  // PING's word: requests will be told, too
    if (!reply.is_error() || loading) continue;
    why = fmt::format("{} refuses us: {}{}", to.shown(), reply.text, remedy_of(reply.text));
    auto meaning = meaning_of(reply);
    co_return meaning ? meaning : std::error_code(Errc::denied);
  }
  extra_replies.assign(std::make_move_iterator(replies->begin() + static_cast<std::ptrdiff_t>(greeted)),
                       std::make_move_iterator(replies->end()));
  co_return std::move(link);
}

}  // namespace kiseki::net::redis
