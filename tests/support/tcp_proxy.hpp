#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace kiseki::test {

/// Stands between a client and a server on this machine: counts round trips, and loses what it is told to lose.
class TcpProxy {
 public:
  explicit TcpProxy(std::uint16_t to) : to_(to) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto at = loopback(0);
    ::bind(listener_, reinterpret_cast<sockaddr*>(&at), sizeof at);
    ::listen(listener_, 64);
    socklen_t size = sizeof at;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~TcpProxy() {
    ended_ = true;
    thread_.join();
    ::close(listener_);
    for (auto& pair : pairs_) ::close(pair.client), ::close(pair.server);
  }
  TcpProxy(const TcpProxy&) = delete;

  std::uint16_t port() const { return port_; }

  /// What becomes of the next request with these bytes in it; the client's connection breaks in any case.
  enum class Loss {
    reply,    ///< the server gets it and answers, nobody hears
    request,  ///< the server never sees it
    late,     ///< the server gets it when `release` is called
  };
  void lose_next(std::string bytes, Loss what) {
    std::lock_guard lock(mutex_);
    wanted_ = std::move(bytes);
    loss_ = what;
  }
  bool lost() const { return lost_; }   ///< it happened
  void release() { released_ = true; }  ///< the late request goes on its way, its reply nowhere
  /// Requests sent after a reply, not counting what keeps connections alive and tracked.
  int round_trips() const { return trips_; }

 private:
  struct Pair {
    int client = -1, server = -1;
    bool asked = false, doomed = false;
    std::string held{};
  };

  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
  }

  void run() {
    while (!ended_) {
      std::vector<pollfd> fds{{listener_, POLLIN, 0}};
      for (auto& pair : pairs_) {
        fds.push_back({pair.client, POLLIN, 0});
        fds.push_back({pair.server, POLLIN, 0});
      }
      ::poll(fds.data(), fds.size(), 5);
      std::size_t at = 1;
      for (auto pair = pairs_.begin(); pair != pairs_.end(); at += 2) {
        auto here = pair++;
        if (fds[at].revents && !from_client(*here))
          close(here);
        else if (fds[at + 1].revents && !from_server(*here))
          close(here);
        else if (!here->held.empty() && released_.exchange(false))
          send(here->server, std::exchange(here->held, {}));
      }
      if (fds[0].revents) accept();
    }
  }

  void accept() {
    Pair pair;
    pair.client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    pair.server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto at = loopback(to_);
    ::connect(pair.server, reinterpret_cast<sockaddr*>(&at), sizeof at);
    int on = 1;
    for (int fd : {pair.client, pair.server}) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    pairs_.push_back(pair);
  }

  void close(std::list<Pair>::iterator pair) {
    ::close(pair->client);
    ::close(pair->server);
    pairs_.erase(pair);
  }

  static void send(int fd, const std::string& bytes) {
    for (std::size_t at = 0; at < bytes.size();) {
      auto sent = ::send(fd, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (sent <= 0) return;
      at += static_cast<std::size_t>(sent);
    }
  }

  static bool receive(int fd, std::string& bytes) {
    bytes.resize(1 << 18);
    auto got = ::recv(fd, bytes.data(), bytes.size(), 0);
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return got > 0;
  }

  static bool counts(const std::string& bytes) {
    for (auto* upkeep : {"PING", "CLIENT", "SUBSCRIBE", "HELLO", "AUTH", "INFO", "CONFIG", "CLUSTER", "SELECT"})
      if (bytes.find(upkeep) != bytes.npos) return false;
    return true;
  }

  bool from_client(Pair& pair) {
    std::string bytes;
    if (!receive(pair.client, bytes)) return false;
    if (!std::exchange(pair.asked, true) && counts(bytes)) ++trips_;
    {
      std::lock_guard lock(mutex_);
      if (!wanted_.empty() && bytes.find(wanted_) != bytes.npos) {
        wanted_.clear();
        lost_ = true;
        if (loss_ == Loss::request) return false;
        if (loss_ == Loss::late) {
          pair.held = std::move(bytes);
          ::shutdown(pair.client, SHUT_RDWR);
          ::close(pair.client);
          pair.client = -1;  // poll passes it over; what the server says goes nowhere
          return true;
        }
        pair.doomed = true;
      }
    }
    send(pair.server, bytes);
    return true;
  }

  bool from_server(Pair& pair) {
    std::string bytes;
    if (!receive(pair.server, bytes) || pair.doomed) return false;
    pair.asked = false;
    send(pair.client, bytes);
    return true;
  }

  const std::uint16_t to_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::list<Pair> pairs_;
  std::mutex mutex_;  ///< guards wanted_ and loss_
  std::string wanted_;
  Loss loss_ = Loss::reply;
  std::atomic<bool> ended_{false}, lost_{false}, released_{false};
  std::atomic<int> trips_{0};
  std::thread thread_;
};

}  // namespace kiseki::test
