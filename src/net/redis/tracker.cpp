#include "net/redis/tracker.hpp"

#include <boost/asio/post.hpp>
#include <utility>

#include "core/guard.hpp"
#include "core/log.hpp"
#include "core/numbers.hpp"

namespace kiseki::net::redis {
namespace {

constexpr std::string_view kChannel = "__redis__:invalidate";
constexpr auto kBeat = std::chrono::seconds(1);
constexpr auto kSilence = std::chrono::seconds(4);  // with a beat every second: the connection is dead
constexpr auto kFirstPause = std::chrono::milliseconds(50), kLongestPause = std::chrono::milliseconds(2000);

}  // namespace

Tracker::Tracker(const Topology& topology, asio::any_io_executor home, unsigned lanes, Retrack retrack)
    : topology_(topology), home_(std::move(home)), retrack_(std::move(retrack)), lanes_(lanes) {}

void Tracker::listen(InvalidationListener* listener) noexcept {
  std::lock_guard lock(mutex_);
  listener_ = listener;
}

Tracker::Redirect Tracker::current() const {
  std::lock_guard lock(mutex_);
  return redirect_;
}

void Tracker::lane_answers() {
  std::lock_guard lock(mutex_);
  if (listener_ && !tracking()) listener_->everything();
}

void Tracker::lane_tracked(unsigned lane, std::uint64_t generation) {
  std::lock_guard lock(mutex_);
  lanes_[lane] = {true, generation};
  settle_locked();
}

void Tracker::lane_lost(unsigned lane) {
  {
    std::lock_guard lock(mutex_);
    lanes_[lane] = {};
    if (redirect_.generation == 0) return;
  }
  forget();
  asio::post(home_, [weak = weak_from_this()] {
    auto self = weak.lock();
    if (self && self->link_) self->link_->stream().close();  // `run` begins anew
  });
}

void Tracker::refused(const std::string& why) {
  if (given_up_.exchange(true)) return;
  log::warn("redis.no_tracking", {{"server", topology_.address().shown()}, {"reason", why}});
  forget();
}

void Tracker::set_locked(bool on) {
  auto was = tracking_.exchange(false, std::memory_order_acq_rel);
  if (listener_ && on) listener_->everything();
  if (listener_ && was && !on) listener_->out_of_touch();
  tracking_.store(on, std::memory_order_release);
  answered_.notify_all();
}

Async<void> Tracker::asked(std::uint64_t ticket) {
  co_await asked_.wait(ticket);
  co_return Result<void>{};
}

Async<void> Tracker::answered(std::uint64_t ticket) {
  co_await answered_.wait(ticket);
  co_return Result<void>{};
}

Async<void> Tracker::hear_all() {
  if (!tracking()) co_return Result<void>{};
  auto number = ++wanted_;
  asked_.notify_all();
  for (;;) {
    auto ticket = answered_.ticket();
    // A lost connection is an answer too: then all was forgotten.
    if (heard_of_ >= number || !tracking()) co_return Result<void>{};
    auto woken = co_await with_timeout(kBeat, answered(ticket));
    if (!woken && woken.error() == posix(ECANCELED)) co_return woken;
  }
}

void Tracker::settle_locked() {
  auto all = redirect_.generation != 0 && !given_up_;
  for (const auto& lane : lanes_) all = all && (!lane.connected || lane.generation == redirect_.generation);
  if (all != tracking()) set_locked(all);
}

void Tracker::forget() {
  std::lock_guard lock(mutex_);
  redirect_ = {};
  set_locked(false);
}

void Tracker::begin(std::int64_t client, Endpoint at) {
  Redirect now;
  if (topology_.away()) {  // a lane that hears nothing may hold a dead connection: here is the server
    topology_.has_answered(true);
    lane_answers();
  }
  {
    std::lock_guard lock(mutex_);
    redirect_ = {.generation = ++last_generation_, .client = client, .at = std::move(at)};
    now = redirect_;
    settle_locked();
  }
  retrack_(now);
}

asio::awaitable<void> Tracker::run() {
  auto pause = kFirstPause;
  while (!given_up_) {
    std::string why;
    auto before = last_generation_;
    auto ended = co_await one_generation(why);
    forget();
    link_.reset();
    pause = last_generation_ != before ? kFirstPause : std::min(2 * pause, kLongestPause);
    if (!ended) log::debug("redis.tracking_lost", {{"reason", why.empty() ? ended.error().message() : why}});
    co_await sleep_for(pause);
  }
}

Async<void> Tracker::one_generation(std::string& why) {
  Commands ask;
  ask.emplace_back("CLIENT", "ID");
  ask.emplace_back("SUBSCRIBE", kChannel);
  Replies replies;
  CO_TRY(auto connected, co_await topology_.connect(std::move(ask), replies, why));
  for (const auto& reply : replies) {
    if (!reply.is_error()) continue;
    if (meaning_of(reply) != Errc::refused) refused(reply.text);
    co_return posix(EPROTO);
  }
  if (!replies.front().is_integer()) co_return posix(EPROTO);
  link_ = std::move(connected.link);
  auto link = link_;
  heard_ = std::chrono::steady_clock::now();
  begin(replies.front().integer, connected.at);
  std::vector<Async<void>> both;
  both.push_back(hear(*link));
  both.push_back(beat(*link));
  co_return co_await fan_out(std::move(both), 2);
}

Async<void> Tracker::hear(Link& link) {
  while (true) {
    CO_TRY(auto message, co_await link.receive());
    heard_ = std::chrono::steady_clock::now();
    CO_CHECK(take(message));
  }
}

/// A numbered PING every second, and whenever somebody wants to know how far the server's messages have come.
Async<void> Tracker::beat(Link& link) {
  while (std::chrono::steady_clock::now() - heard_ < kSilence) {
    auto ticket = asked_.ticket();
    auto number = wanted_.load();
    std::string ping;
    Command("PING", number).append_to(ping);
    CO_CHECK(co_await link.send(std::move(ping)));
    if (wanted_ != number) continue;
    auto woken = co_await with_timeout(kBeat, asked(ticket));
    if (!woken && woken.error() == posix(ECANCELED)) co_return woken;
  }
  co_return posix(ETIMEDOUT);
}

/// [message, channel, [key...]] or, when the server forgot everything, [message, channel, nil]; also [pong, number].
Result<void> Tracker::take(const Reply& message) {
  if (!message.is_array() || message.elements.empty()) return posix(EPROTO);
  const auto& parts = message.elements;
  if (parts[0].text == "pong" && parts.size() == 2) {
    heard_of_ = whole_number<std::uint64_t>(parts[1].text).value_or(0);
    answered_.notify_all();
    return {};
  }
  if (parts[0].text != "message" || parts.size() != 3) return {};
  std::lock_guard lock(mutex_);
  if (!listener_) return {};
  if (!parts[2].is_array()) {
    listener_->everything();
    return {};
  }
  for (const auto& key : parts[2].elements) listener_->changed(key.text);
  return {};
}

}  // namespace kiseki::net::redis
