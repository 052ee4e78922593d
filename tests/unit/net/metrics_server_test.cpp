#include "net/metrics_server.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "core/guard.hpp"
#include "core/metrics.hpp"

namespace kiseki::net {
namespace {

/// A blocking socket with a receive limit, so that a server that hangs fails the test instead of holding it.
class RawClient {
 public:
  explicit RawClient(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    timeval limit{20, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  ~RawClient() { ::close(fd_); }
  RawClient(const RawClient&) = delete;
  bool connected() const { return connected_; }

  void send(std::string_view text) {
    while (!text.empty()) {
      auto sent = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  /// Header and body of one response; what came so far when the connection ended.
  std::string response() {
    while (true) {
      auto header = pending_.find("\r\n\r\n");
      auto length = pending_.find("Content-Length: ");
      if (header != std::string::npos && length != std::string::npos && length < header) {
        auto whole = header + 4 + std::stoul(pending_.substr(length + 16));
        if (pending_.size() >= whole) {
          auto out = pending_.substr(0, whole);
          pending_.erase(0, whole);
          return out;
        }
      }
      if (!receive()) return std::exchange(pending_, {});
    }
  }
  /// Whether the server has closed (and nothing is left to read).
  bool closed_by_server() { return pending_.empty() && !receive(); }

 private:
  bool receive() {
    char buffer[4096];
    auto got = ::recv(fd_, buffer, sizeof buffer, 0);
    // Work that this thread gave to io_uring interrupts it when it completes.
    while (got < 0 && errno == EINTR) got = ::recv(fd_, buffer, sizeof buffer, 0);
    if (got > 0) pending_.append(buffer, static_cast<std::size_t>(got));
    return got > 0;
  }
  int fd_;
  bool connected_ = false;
  std::string pending_;
};

class MetricsServerTest : public ::testing::Test {
 protected:
  MetricsServerTest() : runtime_({.loops = 2, .pin = false}), server_(runtime_) { runtime_.start(); }
  ~MetricsServerTest() override { runtime_.wait(server_.close()); }
  std::uint16_t start() {
    auto port = server_.start("127.0.0.1:0");
    EXPECT_TRUE(port) << port.error().message();
    return port ? *port : 0;
  }
  Runtime runtime_;
  MetricsServer server_;
};

TEST_F(MetricsServerTest, ServesTheMetricsPage) {
  metrics::all().blockcache_hits.add(3);
  RawClient client(start());
  client.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  auto page = client.response();
  EXPECT_EQ(page.rfind("HTTP/1.1 200 OK\r\n", 0), 0u) << page;
  EXPECT_NE(page.find("Content-Type: text/plain; version=0.0.4"), std::string::npos);
  EXPECT_NE(page.find("# TYPE juicefs_blockcache_hits counter\n"), std::string::npos);
  EXPECT_NE(page.find("\njuicefs_uptime"), std::string::npos);
}

TEST_F(MetricsServerTest, KeepsTheConnectionAndAnswersPipelinedRequestsInOrder) {
  RawClient client(start());
  client.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing?a=b HTTP/1.1\r\nHost: x\r\n\r\nGET /heal");
  EXPECT_NE(client.response().find("\r\n\r\nok\n"), std::string::npos);
  EXPECT_EQ(client.response().rfind("HTTP/1.1 404 ", 0), 0u);
  client.send("thz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_NE(client.response().find("Connection: close\r\n\r\nok\n"), std::string::npos);
  EXPECT_TRUE(client.closed_by_server());
}

TEST_F(MetricsServerTest, AnswersHeadWithoutABodyAndRefusesOtherVerbs) {
  auto port = start();
  RawClient head(port);
  head.send("HEAD /healthz HTTP/1.0\r\n\r\n");
  EXPECT_NE(head.response().find("Content-Length: 3\r\n"), std::string::npos);
  RawClient post(port);
  post.send("DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(post.response().rfind("HTTP/1.1 405 ", 0), 0u);
}

TEST_F(MetricsServerTest, RefusesWhatIsNotHttp) {
  auto port = start();
  for (const auto& garbage :
       {std::string("\x16\x03\x01 hello\r\n\r\n"), std::string("GET / HTTP/1.1\r\nA: ") + std::string(20000, 'x')}) {
    RawClient client(port);
    client.send(garbage);
    EXPECT_EQ(client.response().rfind("HTTP/1.1 400 ", 0), 0u);
  }
  RawClient leaves(port);
  leaves.send("GET /met");
}

TEST_F(MetricsServerTest, ServesMoreClientsThanItHasPlaces) {
  auto port = start();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 40; ++i) clients.push_back(std::make_unique<RawClient>(port));
  for (auto& client : clients) {
    EXPECT_TRUE(client->connected());
    client->send("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  }
  for (auto& client : clients) EXPECT_NE(client->response().find("ok\n"), std::string::npos);
}

TEST_F(MetricsServerTest, ClosesWhileClientsWait) {
  RawClient idle(start());
  idle.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(idle.response().find("ok\n"), std::string::npos);
  runtime_.wait(server_.close());
  EXPECT_TRUE(idle.closed_by_server());
}

TEST_F(MetricsServerTest, SaysWhyItCannotListen) {
  auto port = start();
  auto taken = "127.0.0.1:" + std::to_string(port);
  MetricsServer second(runtime_);
  EXPECT_EQ(second.start(taken).error(), posix(EADDRINUSE));
  for (auto bad : {"", "9567", "localhost:", "localhost:x", "localhost:70000", "::1:80", "a:1:2"}) {
    EXPECT_EQ(second.start(bad).error(), posix(EINVAL)) << bad;
  }
  EXPECT_EQ(second.start("192.0.2.1:0").error(), posix(EADDRNOTAVAIL));
  auto other = second.start(taken, IfBusy::any_port);
  EXPECT_TRUE(other);
  if (other) EXPECT_NE(*other, port);
  EXPECT_EQ(second.address(), "127.0.0.1:" + std::to_string(*other));
  runtime_.wait(second.close());
}

TEST_F(MetricsServerTest, ListensOnceItsPredecessorHasLetGo) {
  auto port = start();
  auto taken = "127.0.0.1:" + std::to_string(port);
  MetricsServer second(runtime_), third(runtime_);
  EXPECT_EQ(second.start(taken, IfBusy::wait).value(), port);
  EXPECT_EQ(second.address(), taken);
  EXPECT_TRUE(third.start(taken, IfBusy::wait));
  runtime_.wait(third.close());  // one that waits can be closed
  runtime_.wait(server_.close());
  std::string answer;
  for (auto end = std::chrono::steady_clock::now() + std::chrono::seconds(15);
       answer.empty() && std::chrono::steady_clock::now() < end;) {
    RawClient client(port);
    client.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    if (client.connected()) answer = client.response();
  }
  EXPECT_NE(answer.find("ok\n"), std::string::npos);
  runtime_.wait(second.close());
}

}  // namespace
}  // namespace kiseki::net
