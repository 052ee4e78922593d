#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <functional>
#include <list>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

namespace kiseki::test {

/// The server's end of one connection, with blocking calls. Every receive gives up after 20 s.
class FakePeer {
 public:
  FakePeer(int fd, int number) : number(number), fd_(fd) {
    timeval limit{20, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  /// Head and body (by its Content-Length) of the next request; empty when the client has gone.
  std::string request() {
    while (pending_.find("\r\n\r\n") == std::string::npos)
      if (!receive()) return {};
    auto whole = pending_.find("\r\n\r\n") + 4;
    if (auto at = pending_.find("Content-Length: "); at < whole) {
      std::size_t length = 0;
      std::from_chars(pending_.data() + at + 16, pending_.data() + pending_.size(), length);
      whole += length;
    }
    while (pending_.size() < whole)
      if (!receive()) return {};
    auto out = pending_.substr(0, whole);
    pending_.erase(0, whole);
    return out;
  }
  /// Only the head.
  std::string head() {
    while (pending_.find("\r\n\r\n") == std::string::npos)
      if (!receive()) return {};
    auto size = pending_.find("\r\n\r\n") + 4;
    auto out = pending_.substr(0, size);
    pending_.erase(0, size);
    return out;
  }
  /// So many bytes, as they come.
  std::string bytes(std::size_t size) {
    while (pending_.size() < size)
      if (!receive()) break;
    auto out = pending_.substr(0, size);
    pending_.erase(0, size);
    return out;
  }
  void say(std::string_view text) {
    while (!text.empty()) {
      auto sent = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void ok(std::string_view body, std::string_view fields = "") {
    say("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + std::string(fields) + "\r\n" +
        std::string(body));
  }
  void reset() {  ///< the next close sends RST
    linger hard{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  }
  void wait_gone() {  ///< until the client has closed
    while (receive()) pending_.clear();
  }
  int fd() const { return fd_; }
  const int number;  ///< of the connection, from 1

 private:
  bool receive() {
    char buffer[65536];
    auto got = ::recv(fd_, buffer, sizeof buffer, 0);
    if (got > 0) pending_.append(buffer, static_cast<std::size_t>(got));
    return got > 0;
  }
  int fd_;
  std::string pending_;
};

/// A server on loopback that does what a test tells it, one thread per connection; closes when `serve` returns.
class FakeHttpServer {
 public:
  explicit FakeHttpServer(std::function<void(FakePeer&)> serve) : serve_(std::move(serve)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener_ < 0) throw std::runtime_error("no socket");
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    ::bind(listener_, reinterpret_cast<sockaddr*>(&at), sizeof at);
    ::listen(listener_, 64);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
    acceptor_ = std::thread([this] { accept_loop(); });
  }
  ~FakeHttpServer() { stop(); }
  /// Cuts what is open and waits for every `serve` to return: what they saw may be read then.
  void stop() {
    if (!acceptor_.joinable()) return;
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    ::close(listener_);
    {
      std::lock_guard lock(mutex_);
      for (int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    for (auto& thread : threads_) thread.join();
  }
  std::uint16_t port() const { return port_; }
  int connections() const { return count_; }

 private:
  void accept_loop() {
    for (;;) {
      int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      int number = ++count_;
      std::lock_guard lock(mutex_);
      open_.push_back(fd);
      threads_.emplace_back([this, fd, number] {
        FakePeer peer(fd, number);
        serve_(peer);
        std::lock_guard closing(mutex_);
        open_.remove(fd);
        ::close(fd);
      });
    }
  }

  std::function<void(FakePeer&)> serve_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<int> count_{0};
  std::mutex mutex_;  // guards open_ and threads_
  std::list<int> open_;
  std::list<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace kiseki::test
