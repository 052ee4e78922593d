#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace kiseki::test {

/// A TCP proxy before a Redis server that counts round trips and makes trouble. One thread carries every connection;
/// the members may be called from any.
///
/// A round trip is a batch of requests followed by its replies: it is counted when bytes go up after bytes came down.
/// Connections that SUBSCRIBE are carried but not counted.
class RedisProxy {
 public:
  using Nanoseconds = std::chrono::nanoseconds;
  using Clock = std::chrono::steady_clock;

  explicit RedisProxy(std::uint16_t server_port, std::uint16_t port = 0) : server_port_(server_port) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener_ < 0) throw std::runtime_error("the proxy gets no socket");
    int on = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    auto at = here(port);
    socklen_t size = sizeof at;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || ::listen(listener_, 128) != 0)
      throw std::runtime_error("the proxy cannot listen");
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
    thread_ = std::thread([this] { carry(); });
  }
  ~RedisProxy() {
    stopping_ = true;
    thread_.join();
    for (auto& link : links_) close_link(link, false);
    ::close(listener_);
  }
  RedisProxy(const RedisProxy&) = delete;

  std::uint16_t port() const { return port_; }
  std::string url(int db = 0) const { return "redis://127.0.0.1:" + std::to_string(port_) + "/" + std::to_string(db); }
  std::uint64_t round_trips() const { return round_trips_; }
  std::uint64_t connections() const { return connections_; }

  void delay(Nanoseconds round_trip) { delay_ = round_trip.count() / 2; }  ///< half of it each way
  /// Passes nothing on until `until_now` is over; nothing is lost.
  void stall(Nanoseconds time) { stalled_until_ = (Clock::now() + time).time_since_epoch().count(); }
  void partition(bool on) { partitioned_ = on; }  ///< swallows every byte and every new connection, without a word
  /// Each piece is held up for `hold` with this probability, as TCP holds what it must send again.
  void loss(double probability, Nanoseconds hold = std::chrono::milliseconds(200)) {
    std::lock_guard lock(mutex_);
    loss_ = probability;
    hold_ = hold;
  }
  void reset_all() { reset_ = true; }  ///< every connection ends with RST, soon

  enum class Cut {
    request,  ///< the request is not passed on: never executed
    reply,    ///< the request is executed, its reply never arrives
  };
  /// At the next `times` pieces from a client that contain `mark`, the connection is cut. `cuts()` counts.
  void cut(Cut where, std::string mark, int times = 1) {
    std::lock_guard lock(mutex_);
    cut_where_ = where;
    cut_mark_ = std::move(mark);
    cuts_left_ = times;
  }
  int cuts() const { return cuts_; }
  /// The connection whose client next says `mark` dies without a word: it stays open, and whatever it carries vanishes,
  /// from that request on, or from its reply on.
  void swallow(Cut from, std::string mark) {
    std::lock_guard lock(mutex_);
    swallow_from_ = from;
    swallowed_mark_ = std::move(mark);
  }
  /// The next piece from a client that contains `mark` is passed on so much later, and all that comes behind it.
  void hold(std::string mark, Nanoseconds time) {
    std::lock_guard lock(mutex_);
    held_mark_ = std::move(mark);
    held_for_ = time;
  }
  int held() const { return held_; }   ///< how many such pieces have come
  void release() { release_ = true; }  ///< whatever waits goes on, soon

 private:
  struct Piece {
    Clock::time_point due;
    std::string bytes;
  };
  struct Way {
    int from = -1, to = -1;
    bool ended = false, readable = false;
    std::deque<Piece> pieces;
  };
  struct Link {
    Way up, down;
    bool counted = true, going_up = false;
    bool doomed = false;                      ///< cut when the server has answered
    bool mute_up = false, mute_down = false;  ///< what comes vanishes
    bool dead = false;
  };

  static sockaddr_in here(std::uint16_t port) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
  }
  static void no_delay(int fd) {
    int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  static void close_link(Link& link, bool reset) {
    linger now{1, 0};
    for (int* fd : {&link.up.from, &link.up.to}) {
      if (*fd < 0) continue;
      if (reset) ::setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
      ::close(std::exchange(*fd, -1));
    }
    link.dead = true;
  }

  void carry() {
    while (!stopping_) {
      wait();
      if (reset_.exchange(false)) {
        for (auto& link : links_) close_link(link, true);
      }
      if (release_.exchange(false)) {
        for (auto& link : links_) {
          for (auto* way : {&link.up, &link.down})
            for (auto& piece : way->pieces) piece.due = Clock::now();
        }
      }
      for (auto& link : links_) {
        if (!link.dead && link.up.readable) take(link, link.up, true);
        if (!link.dead && link.down.readable) take(link, link.down, false);
        if (!link.dead) pass_on(link, link.up);
        if (!link.dead) pass_on(link, link.down);
      }
      links_.remove_if([](const Link& link) { return link.dead; });
    }
  }

  /// Until a socket has something, a piece is due, or ten milliseconds have passed. Accepts; says which ways to read.
  void wait() {
    std::vector<pollfd> fds(1, pollfd{listener_, POLLIN, 0});
    std::vector<Way*> ways(1, nullptr);
    auto next = Clock::now() + std::chrono::milliseconds(10);
    for (auto& link : links_) {
      for (auto* way : {&link.up, &link.down}) {
        way->readable = false;
        if (!way->ended) fds.push_back({way->from, POLLIN, 0}), ways.push_back(way);
        if (!way->pieces.empty()) next = std::min(next, way->pieces.front().due);
      }
    }
    auto left = std::max(next - Clock::now(), Clock::duration(0));
    auto ns = std::chrono::duration_cast<Nanoseconds>(left).count();
    timespec time{ns / 1'000'000'000, ns % 1'000'000'000};
    ::ppoll(fds.data(), fds.size(), &time, nullptr);
    for (std::size_t i = 1; i < fds.size(); ++i) ways[i]->readable = fds[i].revents != 0;
    if (fds[0].revents != 0) accept_all();
  }

  void accept_all() {
    while (!partitioned_) {  // else they wait, connected to nobody
      int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (client < 0) return;
      int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      auto to = here(server_port_);
      if (::connect(server, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) {
        ::close(server);
        ::close(client);
        continue;
      }
      no_delay(client);
      no_delay(server);
      ++connections_;
      auto& link = links_.emplace_back();
      link.up.from = link.down.to = client;
      link.up.to = link.down.from = server;
    }
  }

  void take(Link& link, Way& way, bool up) {
    char buffer[65536];
    while (!way.ended) {
      auto got = ::recv(way.from, buffer, sizeof buffer, MSG_DONTWAIT);
      if (got < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK) close_link(link, false);
        return;
      }
      if (got == 0) {
        way.ended = true;
        return;
      }
      std::string bytes(buffer, static_cast<std::size_t>(got));
      if (up ? !note_request(link, bytes) : !note_reply(link)) return;
      auto late = up ? lateness(bytes) : Nanoseconds(0);
      if (up) note_swallowed(link, bytes);
      if (!partitioned_ && !(up ? link.mute_up : link.mute_down))
        way.pieces.push_back({due() + late, std::move(bytes)});
      if (static_cast<std::size_t>(got) < sizeof buffer) return;
    }
  }

  bool note_request(Link& link, const std::string& bytes) {
    if (bytes.find("SUBSCRIBE") != std::string::npos) link.counted = false;
    if (link.counted && !std::exchange(link.going_up, true)) ++round_trips_;
    std::lock_guard lock(mutex_);
    if (cuts_left_ == 0 || bytes.find(cut_mark_) == std::string::npos) return true;
    --cuts_left_;
    ++cuts_;
    if (cut_where_ == Cut::reply) {
      link.doomed = true;
      return true;
    }
    close_link(link, true);
    return false;
  }
  bool note_reply(Link& link) {
    link.going_up = false;
    if (!link.doomed) return true;
    close_link(link, true);
    return false;
  }

  void note_swallowed(Link& link, const std::string& bytes) {
    if (link.mute_down) link.mute_up = true;
    std::lock_guard lock(mutex_);
    if (swallowed_mark_.empty() || bytes.find(swallowed_mark_) == std::string::npos) return;
    swallowed_mark_.clear();
    link.mute_down = true;
    link.mute_up = swallow_from_ == Cut::request;
  }

  Nanoseconds lateness(const std::string& bytes) {
    std::lock_guard lock(mutex_);
    if (held_mark_.empty() || bytes.find(held_mark_) == std::string::npos) return Nanoseconds(0);
    held_mark_.clear();
    ++held_;
    return held_for_;
  }

  Clock::time_point due() {
    std::lock_guard lock(mutex_);
    Clock::time_point stalled{Clock::duration(stalled_until_.load())};
    auto at = std::max(Clock::now() + Nanoseconds(delay_.load()), stalled);
    if (loss_ > 0 && std::uniform_real_distribution<double>(0, 1)(chance_) < loss_) at += hold_;
    return at;
  }

  void pass_on(Link& link, Way& way) {
    Clock::time_point stalled{Clock::duration(stalled_until_.load())};
    auto now = Clock::now();
    while (!way.pieces.empty() && way.pieces.front().due <= now && stalled <= now) {
      auto& bytes = way.pieces.front().bytes;
      auto sent = ::send(way.to, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return close_link(link, false);
      if (sent < 0) return;
      bytes.erase(0, static_cast<std::size_t>(sent));
      if (!bytes.empty()) return;
      way.pieces.pop_front();
    }
    if (way.ended && way.pieces.empty()) close_link(link, false);
  }

  const std::uint16_t server_port_;
  std::uint16_t port_ = 0;
  int listener_ = -1;
  std::list<Link> links_;
  std::atomic<bool> stopping_{false}, partitioned_{false}, reset_{false}, release_{false};
  std::atomic<std::uint64_t> round_trips_{0}, connections_{0};
  std::atomic<std::int64_t> delay_{0}, stalled_until_{0};
  std::atomic<int> cuts_{0}, held_{0};
  std::mutex mutex_;  ///< guards what follows
  double loss_ = 0;
  Nanoseconds hold_{};
  Cut cut_where_ = Cut::request, swallow_from_ = Cut::request;
  std::string cut_mark_, held_mark_, swallowed_mark_;
  Nanoseconds held_for_{};
  int cuts_left_ = 0;
  std::minstd_rand chance_{12345};
  std::thread thread_;
};

}  // namespace kiseki::test
