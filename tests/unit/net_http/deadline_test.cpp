// Who gives up, and when.
#include <future>

#include "client_fixture.hpp"

namespace kiseki::net {
namespace {

using SteadyClock = std::chrono::steady_clock;

class Deadlines : public HttpClientTest {
 protected:
  /// Sends and expects to be let go with `error` after about `after`.
  asio::awaitable<void> expect_given_up(HttpClient& client, HttpRequest request, std::error_code error,
                                        std::chrono::milliseconds after) {
    auto begun = SteadyClock::now();
    auto response = co_await client.send(std::move(request));
    auto took = SteadyClock::now() - begun;
    CO_ASSERT_TRUE(!response);
    EXPECT_EQ(response.error(), error) << response.error().message();
    EXPECT_GE(took, after - std::chrono::milliseconds(20));
    EXPECT_LE(took, after + std::chrono::seconds(3));
  }
};

TEST_F(Deadlines, ASilentServer) {
  test::FakeHttpServer server([](test::FakePeer& peer) {
    peer.request();
    peer.wait_gone();
  });
  auto& client = client_of(server, {.timeouts = quick(), .tls = {}, .proxy = {}});
  test::run([&] { return expect_given_up(client, get(), posix(ETIMEDOUT), std::chrono::milliseconds(300)); });
  EXPECT_EQ(server.connections(), 1) << "a timeout is not repeated on a fresh connection";
}

TEST_F(Deadlines, AServerThatStopsInTheMiddle) {
  test::FakeHttpServer server([](test::FakePeer& peer) {
    peer.request();
    peer.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    peer.wait_gone();
  });
  auto& client = client_of(server, {.timeouts = quick(), .tls = {}, .proxy = {}});
  test::run([&] { return expect_given_up(client, get(), posix(ETIMEDOUT), std::chrono::milliseconds(300)); });
}

TEST_F(Deadlines, AServerThatTakesNoBody) {
  test::FakeHttpServer server([](test::FakePeer& peer) {
    peer.head();
    std::this_thread::sleep_for(std::chrono::seconds(2));
  });
  auto& client = client_of(server, {.timeouts = quick(), .tls = {}, .proxy = {}});
  std::string body(32 << 20, 'x');
  test::run([&] {
    return expect_given_up(client, put(std::as_bytes(std::span(body))), posix(ETIMEDOUT),
                           std::chrono::milliseconds(300));
  });
}

TEST_F(Deadlines, AServerThatDripsIsStoppedByTheLimitOfTheWhole) {
  test::FakeHttpServer server([](test::FakePeer& peer) {
    peer.request();
    peer.say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    for (int i = 0; i < 40; ++i) {
      peer.say("x");
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  });
  auto& client = client_of(server, {.timeouts = quick(), .tls = {}, .proxy = {}});
  auto request = get();
  request.limit = std::chrono::milliseconds(700);
  test::run([&] { return expect_given_up(client, request, posix(ETIMEDOUT), std::chrono::milliseconds(700)); });
}

/// A listener that accepts nobody, and has as many waiting as it lets wait.
class FullHouse {
 public:
  FullHouse() {
    at_.sin_family = AF_INET;
    at_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at_;
    ::bind(open(), reinterpret_cast<sockaddr*>(&at_), size);
    ::listen(sockets_.front(), 0);
    ::getsockname(sockets_.front(), reinterpret_cast<sockaddr*>(&at_), &size);
    for (int i = 0; i < 4; ++i) ::connect(open(), reinterpret_cast<sockaddr*>(&at_), size);
  }
  ~FullHouse() {
    for (int fd : sockets_) ::close(fd);
  }
  std::uint16_t port() const { return ntohs(at_.sin_port); }

 private:
  int open() { return sockets_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }
  sockaddr_in at_{};
  std::vector<int> sockets_;
};

TEST_F(Deadlines, AServerThatAcceptsNobody) {
  FullHouse house;
  HttpClient client({false, "127.0.0.1", house.port()}, {.timeouts = quick(), .tls = {}, .proxy = {}}, pool_);
  test::run([&] { return expect_given_up(client, get(), posix(ETIMEDOUT), std::chrono::milliseconds(300)); });
}

TEST_F(Deadlines, AServerThatDoesNotGreetBack) {
  test::FakeHttpServer server([](test::FakePeer& peer) { peer.wait_gone(); });
  HttpClient client({true, "127.0.0.1", server.port()}, {.timeouts = quick(), .tls = {}, .proxy = {}}, pool_);
  test::run([&] { return expect_given_up(client, get(), posix(ETIMEDOUT), std::chrono::milliseconds(300)); });
}

TEST_F(Deadlines, NobodyListens) {
  std::uint16_t port = 0;
  {
    port = test::FakeHttpServer([](test::FakePeer&) {}).port();
  }
  HttpClient client({false, "127.0.0.1", port}, {}, pool_);
  test::run([&] { return expect_given_up(client, get(), posix(ECONNREFUSED), std::chrono::milliseconds(0)); });
}

TEST_F(Deadlines, ANameWithoutAddress) {
  HttpClient client({false, "no-such-host.invalid", 80}, {}, pool_);
  test::run([&]() -> asio::awaitable<void> {
    auto response = co_await client.send(get());
    CO_ASSERT_TRUE(!response);
    EXPECT_TRUE(response.error() == NetErrc::unknown_host || response.error() == posix(ETIMEDOUT));
  });
}

TEST_F(Deadlines, ANameThatNobodyAnswersFor) {
  std::promise<void> released;
  pool_.submit([&] { released.get_future().wait(); });  // the only thread that looks names up
  HttpClient client({false, "store.example", 80}, {}, pool_);
  auto request = get();
  request.limit = std::chrono::milliseconds(300);
  test::run([&] { return expect_given_up(client, request, posix(ETIMEDOUT), std::chrono::milliseconds(300)); });
  released.set_value();
}

TEST_F(Deadlines, ACancelledRequestFreesItsConnection) {
  std::atomic<bool> gone = false;
  test::FakeHttpServer server([&gone](test::FakePeer& peer) {
    peer.request();
    peer.wait_gone();
    gone = true;
  });
  auto& client = client_of(server);
  test::run([&]() -> asio::awaitable<void> {
    auto cancelled = co_await with_timeout(std::chrono::milliseconds(100), client.send(get()));
    CO_ASSERT_TRUE(!cancelled);
    EXPECT_EQ(cancelled.error(), posix(ETIMEDOUT));
    for (int i = 0; i < 100 && !gone; ++i) co_await sleep_for(std::chrono::milliseconds(20));
    EXPECT_TRUE(gone);
  });
}

TEST_F(Deadlines, IdleConnectionsEnd) {
  std::atomic<bool> gone = false;
  test::FakeHttpServer server([&gone](test::FakePeer& peer) {
    peer.request();
    peer.ok("x");
    peer.wait_gone();
    gone = true;
  });
  HttpClient::Options options;
  options.timeouts.idle = std::chrono::milliseconds(200);
  auto& client = client_of(server, options);
  test::run([&]() -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await client.send(get()));
    for (int i = 0; i < 100 && !gone; ++i) co_await sleep_for(std::chrono::milliseconds(20));
    EXPECT_TRUE(gone);
  });
}

}  // namespace
}  // namespace kiseki::net
