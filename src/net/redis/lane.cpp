#include "net/redis/lane.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "core/guard.hpp"
#include "core/log.hpp"

namespace kiseki::net::redis {
namespace {

constexpr std::size_t kMostQueued = std::size_t{1} << 16;            // requests; each is a coroutine that waits
constexpr std::size_t kMostInFlight = std::size_t{1} << 14;          // commands the server has not answered
constexpr std::size_t kWriteBytes = std::size_t{256} << 10;          // gathered for one write
constexpr auto kTick = std::chrono::milliseconds(50);                // grain of every deadline here
constexpr int kIdleTicks = 20;                                       // then the clock sleeps
constexpr auto kLongestReconnect = std::chrono::milliseconds(1000);  // a server that is back is noticed soon
constexpr auto kRetirement = std::chrono::milliseconds(1000);        // for replies of a server we leave
constexpr auto kDemotion = std::chrono::milliseconds(50);            // for those of one that will be master no more
constexpr auto kLongestRefusal = std::chrono::milliseconds(500);
constexpr auto kSilence = std::chrono::milliseconds(2000);    // owed an answer, and hearing nothing
constexpr auto kLastChance = std::chrono::milliseconds(500);  // of a connection when another one was answered

SteadyTime now() { return std::chrono::steady_clock::now(); }

bool is_here(const asio::any_io_executor& executor) {
  auto* loop = executor.target<asio::io_context::executor_type>();
  return loop && loop->running_in_this_thread();
}

}  // namespace

struct Lane::Connection {
  explicit Connection(Topology::Connected c)
      : link(std::move(c.link)), at(std::move(c.at)), since(now()), heard(since) {}
  std::unique_ptr<Link> link;
  Endpoint at;
  SteadyTime since, heard;
  bool doubted = false;                               ///< the server is being asked over another one
  std::uint64_t tracked = 0;                          ///< in which generation
  std::uint64_t queued_bytes = 0, written_bytes = 0;  ///< of the stream so far
  std::uint64_t handed_bytes = 0;                     ///< those that a write under way may have sent are among them
  std::string out;
  bool answered = false;  ///< a request, at least
  bool broken = false;
  bool writing = false;
  SteadyTime writing_since{};  ///< when writing
  bool retiring = false;
  SteadyTime retire_by{};  ///< when retiring
};

Lane::Lane(Surroundings& around, unsigned index, asio::any_io_executor home)
    : around_(around),
      index_(index),
      home_(home),
      pause_(home),
      backoff_(around.topology.address().min_backoff,
               std::min(around.topology.address().max_backoff, kLongestReconnect)),
      tasks_(home) {}

void Lane::start(std::shared_ptr<Tracker> tracker) {
  tracker_ = std::move(tracker);
  tasks_.spawn(run());
  tasks_.spawn(watch_clock());
}

void Lane::send(RequestPtr request) {
  if (is_here(home_)) return enqueue(std::move(request));
  asio::post(home_, [self = shared_from_this(), request = std::move(request)]() mutable {
    self->enqueue(std::move(request));
  });
}

void Lane::enqueue(RequestPtr request) {
  if (closed_) return request->end(Errc::closed);
  if (queue_.size() >= kMostQueued) return request->end(Errc::overloaded);
  if (request->resend == Resend::while_reachable && around_.topology.away()) return request->end(Errc::unavailable);
  queue_.push_back(std::move(request));
  connection_ ? writer_.wake() : first_request_.wake();
  clock_.wake();
}

asio::awaitable<void> Lane::run() {
  if (queue_.empty()) co_await first_request_.sleep();
  while (true) {
    auto announced = around_.topology.announced();
    auto connection = co_await connect();
    if (!connection) {
      co_await wait_before_next_try();
      continue;
    }
    connection_ = connection;
    if (announced != around_.topology.announced()) retire(kDemotion);  // it may be the old master's
    tasks_.spawn(write_requests(connection));
    if (tracker_) retrack(tracker_->current());  // should it have begun anew meanwhile
    co_await read_replies(connection);
    lose(*connection);
    // A server that takes connections only to drop them is as good as none.
    if (connection->answered || now() - connection->since > kLongestReconnect)
      backoff_.reset();
    else
      co_await wait_before_next_try();
  }
}

asio::awaitable<Lane::ConnectionPtr> Lane::connect() {
  std::string why;
  Replies none;
  auto connected = co_await around_.topology.connect({}, none, why);
  if (!connected) {
    around_.topology.has_answered(false);
    around_.away.trouble(why);
    co_return nullptr;
  }
  around_.topology.has_answered(true);
  auto connection = std::make_shared<Connection>(std::move(*connected));
  if (auto tracked = co_await be_tracked(*connection); !tracked) {
    around_.away.trouble("CLIENT TRACKING: " + tracked.error().message());
    co_return nullptr;
  }
  around_.away.good();
  co_return connection;
}

asio::awaitable<void> Lane::wait_before_next_try() {
  boost::system::error_code ignored;
  pause_.expires_after(backoff_.next());
  co_await pause_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

asio::awaitable<void> Lane::read_replies(ConnectionPtr connection) {
  while (true) {
    auto more = co_await connection->link->read_more();
    if (!more || !take_replies(*connection)) {
      auto why = more ? "bytes that are no RESP" : more.error().message();
      auto expected = connection->retiring || (!more && more.error() == posix(ECANCELED));
      if (!expected) around_.away.trouble(why);
      co_return;
    }
    connection->heard = now();
  }
}

bool Lane::take_replies(Connection& connection) {
  if (around_.topology.away()) {  // others found nobody: they may have met a limit, but here is the server
    around_.topology.has_answered(true);
    if (tracker_) tracker_->lane_answers();
    around_.away.good();
  }
  auto& reader = connection.link->reader();
  auto was_full = commands_in_flight_ >= kMostInFlight;
  while (true) {
    Reply reply;
    auto got = reader.next(reply);
    if (got == ReplyReader::Got::broken) return false;
    if (got == ReplyReader::Got::more) break;
    if (flights_.empty()) return false;
    auto& request = *flights_.front().request;
    request.take(std::move(reply));
    if (!request.whole()) continue;
    connection.answered = true;
    commands_in_flight_ -= request.sent_commands();
    auto whole = std::move(flights_.front().request);
    flights_.pop_front();
    answered(std::move(whole));
  }
  if (was_full && commands_in_flight_ < kMostInFlight) writer_.wake();
  return !connection.broken && !(connection.retiring && flights_.empty());
}

void Lane::answered(RequestPtr request) {
  if (request->ended) return;
  const Reply* refusal = nullptr;
  switch (judge(*request, refusal)) {
    case Verdict::done:
      if (request->attempts > 0) around_.refusing.good();
      note_room(*request);
      return request->end();
    case Verdict::bodies:
      queue_.push_back(std::move(request));
      return writer_.wake();
    case Verdict::later:
      return refused(std::move(request), *refusal);
  }
}

/// A full server refuses what would make it fuller: the first change it takes again tells that there is room.
void Lane::note_room(const Request& request) {
  for (const auto& reply : request.replies) {
    if (meaning_of(reply) == Errc::full) return around_.full.trouble(reply.text);
  }
  if (request.resend == Resend::never && !request.replies.front().is_error()) around_.full.good();
}

/// "MOVED SLOT HOST:PORT" and "ASK SLOT HOST:PORT".
std::string_view last_word(std::string_view text) { return text.substr(text.rfind(' ') + 1); }

void Lane::refused(RequestPtr request, const Reply& why) {
  auto prefix = why.error_prefix();
  if (prefix == "ASK" && connection_) {
    auto node = around_.topology.resolved(last_word(why.text), connection_->at);
    return tasks_.spawn(ask_elsewhere(std::move(request), std::move(node)));
  }
  if (prefix == "MOVED" && connection_) around_.topology.moved_to(last_word(why.text), connection_->at);
  if (prefix == "MOVED" || prefix == "READONLY" || prefix == "MASTERDOWN" || prefix == "CLUSTERDOWN")
    retire(kRetirement);
  if (prefix != "MOVED") around_.refusing.trouble(why.text);
  const auto& address = around_.topology.address();
  auto wait = Backoff::nth(address.min_backoff, std::min(address.max_backoff, kLongestRefusal), request->attempts);
  auto at_once = prefix == "MOVED" && request->attempts == 0;  // nodes that send us to and fro are no better than away
  ++request->attempts;
  request->not_before = now() + (at_once ? Backoff::Time(0) : wait);
  later_.push_back(std::move(request));
  clock_.wake();
}

/// The slot is moving, and these keys are at the other node already. Rare, so each request has a connection of its own.
asio::awaitable<void> Lane::ask_elsewhere(RequestPtr request, Endpoint node) {
  std::string bytes;
  for (const auto& command : request->commands) {
    Command("ASKING").append_to(bytes);
    if (!command.append_with_body_to(bytes)) command.append_to(bytes);
  }
  auto exchange = [](Lane& lane, Endpoint to, std::string out, std::size_t count, bool& sent) -> Async<Replies> {
    Replies none, replies;
    std::string why;
    auto patience = lane.around_.topology.address().connect_timeout;
    auto greeting = lane.around_.topology.connect_to(std::move(to), {}, none, why);
    CO_TRY(auto link, co_await with_timeout(patience, std::move(greeting)));
    sent = true;
    CO_CHECK(co_await link->send(std::move(out)));
    for (std::size_t i = 0; i < count; ++i) {
      CO_CHECK(co_await link->receive());  // of ASKING
      CO_TRY(auto reply, co_await link->receive());
      replies.push_back(std::move(reply));
    }
    co_return replies;
  };
  Guard never_silent([request] { request->end(Errc::reply_lost); });
  auto sent = false;
  auto work = exchange(*this, std::move(node), std::move(bytes), request->commands.size(), sent);
  auto replies = co_await with_timeout(request->deadline - now(), std::move(work));
  if (!replies && sent && request->deadline <= now()) request->end(Errc::timed_out);
  if (request->ended || (!replies && sent && request->resend == Resend::never)) co_return;
  never_silent.dismiss();
  const Reply later{.kind = Reply::Kind::error, .text = "TRYAGAIN"};
  if (!replies) co_return refused(std::move(request), later);
  request->replies = std::move(*replies);
  const Reply* refusal = nullptr;
  auto verdict = judge(*request, refusal);
  if (verdict == Verdict::done) co_return request->end();
  refused(std::move(request), refusal && refusal->error_prefix() != "ASK" ? *refusal : later);
}

/// Lets what is under way end, sends no more, and then looks for the right server anew.
void Lane::retire(SteadyTime::duration patience) {
  if (!connection_ || connection_->retiring) return;
  connection_->retiring = true;
  connection_->retire_by = now() + patience;
  if (flights_.empty()) connection_->link->stream().close();
}

asio::awaitable<void> Lane::write_requests(ConnectionPtr connection) {
  while (!connection->broken) {
    fill(*connection);
    if (connection->out.empty()) {
      co_await writer_.sleep();
      continue;
    }
    std::size_t sent = 0;
    while (sent < connection->out.size() && !connection->broken) {
      auto rest = std::span<const char>(connection->out).subspan(sent);
      connection->writing = true;
      connection->writing_since = now();
      connection->handed_bytes = connection->written_bytes + rest.size();
      auto more = co_await connection->link->stream().write_some(rest);
      connection->writing = false;
      if (!more) {
        connection->link->stream().close();  // the reader notices, and tidies up
        co_return;
      }
      sent += *more;
      connection->written_bytes += *more;
      connection->handed_bytes = connection->written_bytes;
    }
    connection->out.clear();
  }
}

/// Moves from the queue into the stream what fits into one write.
void Lane::fill(Connection& connection) {
  if (queue_.empty() || connection.retiring) return;
  auto time = now();
  auto& out = connection.out;
  while (!queue_.empty() && out.size() < kWriteBytes && commands_in_flight_ < kMostInFlight) {
    auto request = std::move(queue_.front());
    queue_.pop_front();
    if (request->ended) continue;
    auto before = out.size();
    auto first_command = request->append_to(out);
    commands_in_flight_ += request->sent_commands();
    flights_.push_back({std::move(request), connection.queued_bytes + first_command, time});
    connection.queued_bytes += out.size() - before;
  }
}

/// What was not sent, and what may be sent twice, goes back into the queue; the rest has lost its reply.
void Lane::lose(Connection& connection) {
  connection.broken = true;
  connection.link->stream().close();
  connection_.reset();
  writer_.wake();
  auto lost = std::move(flights_);
  flights_.clear();
  commands_in_flight_ = 0;
  for (auto flight = lost.rbegin(); flight != lost.rend(); ++flight) {
    auto& request = flight->request;
    if (request->ended) continue;
    auto sent = flight->first_command_ends <= connection.handed_bytes;
    if (sent && request->resend == Resend::never) {
      request->end(Errc::reply_lost);
      continue;
    }
    request->answered = 0;
    queue_.push_front(std::move(request));
  }
  if (tracker_) tracker_->lane_lost(index_);
}

asio::awaitable<void> Lane::watch_clock() {
  asio::steady_timer timer(home_);
  int idle_ticks = 0;
  while (true) {
    if (idle_ticks >= kIdleTicks) {
      co_await clock_.sleep();
      idle_ticks = 0;
    }
    timer.expires_after(kTick);
    co_await timer.async_wait(asio::use_awaitable);
    idle_ticks = idle() ? idle_ticks + 1 : 0;
    auto time = now();
    end_expired(time);
    mind_silence(time);
    if (around_.topology.away()) end_impatient();
    requeue_due(time);
    if (connection_ && is_stuck(*connection_, time)) connection_->link->stream().close();
  }
}

bool Lane::is_silent(const Connection& connection, SteadyTime time) const {
  const auto& address = around_.topology.address();
  auto patience = address.wait_replicas > 0 ? kSilence + address.wait_timeout : kSilence;
  if (flights_.empty() || connection.retiring || connection.writing) return false;
  return time - std::max(flights_.front().sent_at, connection.heard) >= patience;
}

/// A network that drops everything closes no connection: does the server answer anybody? When the tracker has found
/// nobody it is away, until one answers; else a fresh connection finds out.
void Lane::mind_silence(SteadyTime time) {
  if (!connection_ || connection_->doubted || !is_silent(*connection_, time)) return;
  if (!tracker_ || tracker_->current().generation != 0) return tasks_.spawn(doubt(connection_));
  nobody_answers();
}

void Lane::nobody_answers() {
  if (around_.topology.away()) return;
  around_.topology.has_answered(false);
  around_.away.trouble("no answer");
}

/// Whose connection stays silent though the server answers others is cut off: what it carried is sent again. A server
/// that is busy (with our request, perhaps) or answers nobody is waited for.
asio::awaitable<void> Lane::doubt(ConnectionPtr connection) {
  connection->doubted = true;
  Guard decided([&] { connection->doubted = false; });
  auto begin = now();
  auto elsewhere = co_await ask_aside();
  if (elsewhere == Elsewhere::answers) co_await sleep_for(kLastChance);
  if (connection != connection_ || connection->heard >= begin) co_return;
  if (elsewhere == Elsewhere::answers) {
    log::info("redis.connection_dead", {{"server", connection->at.shown()}});
    co_return connection->link->stream().close();
  }
  if (elsewhere == Elsewhere::silent && !tracker_) nobody_answers();
  co_await sleep_for(kLongestReconnect);
}

/// Over a fresh connection, and with a script: a server that is paused for changes holds that up, too.
asio::awaitable<Lane::Elsewhere> Lane::ask_aside() {
  Commands ask;
  ask.emplace_back("EVAL", "return 1", 0);
  Replies replies;
  std::string why;
  auto connected = co_await around_.topology.connect(std::move(ask), replies, why);
  if (!connected) co_return Elsewhere::silent;
  co_return replies.front().error_prefix() == "BUSY" ? Elsewhere::busy : Elsewhere::answers;
}

bool Lane::is_stuck(const Connection& connection, SteadyTime time) const {
  const auto& address = around_.topology.address();
  if (connection.retiring && time > connection.retire_by) return true;
  if (connection.writing && time - connection.writing_since > address.write_timeout) return true;
  return !flights_.empty() && time - flights_.front().sent_at > address.read_timeout;
}

void Lane::end_expired(SteadyTime time) {
  for (auto& flight : flights_) {
    if (flight.request->deadline <= time) flight.request->end(Errc::timed_out);
  }
  auto drop = [time](auto& list, Errc why) {
    std::erase_if(list, [&](const RequestPtr& request) {
      if (request->deadline > time) return request->ended;
      request->end(why);
      return true;
    });
  };
  drop(queue_, Errc::unavailable);
  drop(later_, Errc::refused);
}

/// Those who would rather do without than wait for a server that is away.
void Lane::end_impatient() {
  auto end = [](Request& request) {
    if (request.resend == Resend::while_reachable) request.end(Errc::unavailable);
  };
  for (auto& flight : flights_) end(*flight.request);
  for (auto& request : queue_) end(*request);
  for (auto& request : later_) end(*request);
}

void Lane::requeue_due(SteadyTime time) {
  std::erase_if(later_, [&](RequestPtr& request) {
    if (request->not_before > time) return false;
    queue_.push_back(std::move(request));
    return true;
  });
  if (!queue_.empty() && connection_) writer_.wake();
}

/// Without a reply the connection is of no use: it may still come, and be taken for that of the first request.
Async<void> Lane::be_tracked(Connection& connection) {
  if (!tracker_) co_return Result<void>{};
  tracker_->lane_answers();
  auto redirect = tracker_->current();
  if (redirect.generation == 0 || redirect.at != connection.at) {
    tracker_->lane_tracked(index_, 0);
    co_return Result<void>{};
  }
  auto ask = connection.link->ask_one(redirect.command());
  CO_TRY(auto reply, co_await with_timeout(around_.topology.address().connect_timeout, std::move(ask)));
  tracking_answered(connection, reply, redirect.generation);
  co_return Result<void>{};
}

void Lane::retrack(Tracker::Redirect redirect) {
  asio::post(home_, [self = shared_from_this(), redirect = std::move(redirect)] {
    if (self->connection_ && self->connection_->tracked != redirect.generation) {
      self->tasks_.spawn(self->track_anew(redirect));
    }
  });
}

/// Until the server has answered, or there is nothing to ask for any more: while one lane reads untracked, nothing read
/// by any of them is known to be right.
asio::awaitable<void> Lane::track_anew(Tracker::Redirect redirect) {
  auto connection = connection_;
  if (!connection || redirect.generation == 0 || redirect.at != connection->at) co_return;
  auto wanted = [&] {
    return connection == connection_ && connection->tracked != redirect.generation &&
           tracker_->current().generation == redirect.generation;
  };
  while (wanted()) {
    Commands commands(1, redirect.command());
    auto deadline = now() + around_.topology.address().connect_timeout;
    auto request = std::make_shared<Request>(std::move(commands), Resend::never, deadline);
    auto answered = co_await detail::park(request->waiter, [this, request] { enqueue(request); });
    if (!answered) co_return;
    if (!request->error && connection == connection_)
      co_return tracking_answered(*connection, request->replies.front(), redirect.generation);
    co_await sleep_for(kTick);
  }
}

void Lane::tracking_answered(Connection& connection, const Reply& reply, std::uint64_t generation) {
  auto& tracker = *tracker_;
  if (!reply.is_error()) {
    connection.tracked = generation;
    return tracker.lane_tracked(index_, generation);
  }
  auto passing = meaning_of(reply) == Errc::refused ||
                 reply.text.find("does not exist") != std::string::npos;  // the other connection has gone meanwhile
  if (!passing) return tracker.refused(reply.text);
  tracker.lane_lost(index_);
  tracker.lane_tracked(index_, 0);
}

void Lane::reconnect() {
  asio::post(home_, [self = shared_from_this()] {
    self->retire(kDemotion);
    self->pause_.cancel();
  });
}

asio::awaitable<void> Lane::close() {
  auto self = shared_from_this();
  co_await tasks_.close();
  auto end = [](Lane& lane) -> Async<void> {
    lane.end_all();
    co_return Result<void>{};
  };
  auto ended = co_await on(home_, end(*this));
  if (!ended) log::warn("redis.close", {{"error", ended.error()}});
}

void Lane::end_all() {
  closed_ = true;
  for (auto& flight : flights_) flight.request->end(Errc::reply_lost);
  for (auto& request : queue_) request->end(Errc::closed);
  for (auto& request : later_) request->end(Errc::closed);
  flights_.clear();
  queue_.clear();
  later_.clear();
  if (connection_) connection_->link->stream().close();
  connection_.reset();
}

}  // namespace kiseki::net::redis
