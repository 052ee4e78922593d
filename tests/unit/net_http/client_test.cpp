#include <cstring>

#include "client_fixture.hpp"

namespace kiseki::net {
namespace {

TEST_F(HttpClientTest, KeepsItsConnection) {
  test::FakeHttpServer server([](test::FakePeer& peer) {
    while (!peer.request().empty()) peer.ok("hello", "X-Connection: " + std::to_string(peer.number) + "\r\n");
  });
  auto& client = client_of(server);
  test::run([&]() -> asio::awaitable<void> {
    for (int i = 0; i < 5; ++i) {
      auto response = co_await client.send(get());
      CO_ASSERT_OK(response);
      EXPECT_EQ(response->status, 200);
      EXPECT_EQ(response->text, "hello");
      EXPECT_EQ(response->fields.find("x-connection"), "1");
    }
  });
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(HttpClientTest, SendsWhatItIsGivenAndReceivesIntoTheCallersMemory) {
  std::string seen;
  test::FakeHttpServer server([&seen](test::FakePeer& peer) {
    seen = peer.request();
    peer.ok(std::string(300'000, 'x') + "end");
    peer.wait_gone();
  });
  auto& client = client_of(server);
  std::string first(200'000, 'a'), second(1, 'b'), into(400'000, '.');
  test::run([&]() -> asio::awaitable<void> {
    HttpRequest request = put(std::as_bytes(std::span(first)));
    request.body.push_back({});
    request.body.push_back(std::as_bytes(std::span(second)));
    request.target = "/a?b=c";
    request.fields.add("X-Mine", "1");
    request.into = std::as_writable_bytes(std::span(into));
    auto response = co_await client.send(std::move(request));
    CO_ASSERT_OK(response);
    EXPECT_EQ(response->size, 300'003u);
    EXPECT_TRUE(response->text.empty());
  });
  EXPECT_EQ(into.substr(299'999, 5), "xend.");
  server.stop();
  auto head = "PUT /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(server.port()) +
              "\r\nX-Mine: 1\r\nContent-Length: 200001\r\n\r\n";
  EXPECT_EQ(seen.substr(0, head.size()), head);
  EXPECT_EQ(seen.substr(head.size()), first + second);
}

TEST_F(HttpClientTest, SendsManyPieces) {
  std::string seen;
  test::FakeHttpServer server([&seen](test::FakePeer& peer) {
    seen = peer.request();
    peer.ok("");
  });
  auto& client = client_of(server);
  std::string body;
  for (int i = 0; i < 500; ++i) body += std::string(1000, static_cast<char>('a' + i % 26));
  test::run([&]() -> asio::awaitable<void> {
    HttpRequest request = put({});
    for (std::size_t i = 0; i < 500; ++i)
      request.body.push_back(std::as_bytes(std::span(body)).subspan(i * 1000, 1000));
    CO_ASSERT_OK(co_await client.send(std::move(request)));
  });
  server.stop();
  EXPECT_TRUE(seen.ends_with(body));
}

TEST_F(HttpClientTest, UnderstandsEveryKindOfBody) {
  test::FakeHttpServer server([](test::FakePeer& peer) {
    for (auto head = peer.request(); !head.empty(); head = peer.request()) {
      if (head.starts_with("GET /chunked"))
        peer.say(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b\r\nWiki\r\n10\r\n0123456789abcdef\r\n0\r\nT: "
            "x\r\n\r\n");
      if (head.starts_with("HEAD")) peer.say("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
      if (head.starts_with("DELETE")) peer.say("HTTP/1.1 204 No Content\r\n\r\n");
      if (head.starts_with("GET /interim"))
        peer.say(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 "
            "OK\r\nContent-Length: 2\r\n\r\nok");
      if (!head.starts_with("GET /until-close")) continue;
      peer.say("HTTP/1.1 200 OK\r\n\r\nall of it");
      return;
    }
  });
  auto& client = client_of(server);
  test::run([&]() -> asio::awaitable<void> {
    auto chunked = co_await client.send(get("/chunked"));
    CO_ASSERT_OK(chunked);
    EXPECT_EQ(chunked->text, "Wiki0123456789abcdef");
    std::string into(100, '.');
    HttpRequest direct = get("/chunked");
    direct.into = std::as_writable_bytes(std::span(into));
    auto placed = co_await client.send(std::move(direct));
    CO_ASSERT_OK(placed);
    EXPECT_EQ(placed->size, 20u);
    EXPECT_TRUE(into.starts_with("Wiki0123456789abcdef."));
    HttpRequest head;
    head.method = "HEAD";
    auto told = co_await client.send(std::move(head));
    CO_ASSERT_OK(told);
    EXPECT_EQ(told->fields.find("CONTENT-LENGTH"), "1234");
    HttpRequest removal;
    removal.method = "DELETE";
    auto removed = co_await client.send(std::move(removal));
    CO_ASSERT_OK(removed);
    EXPECT_EQ(removed->status, 204);
    auto interim = co_await client.send(get("/interim"));
    CO_ASSERT_OK(interim);
    EXPECT_EQ(interim->text, "ok");
    auto rest = co_await client.send(get("/until-close"));
    CO_ASSERT_OK(rest);
    EXPECT_EQ(rest->text, "all of it");
  });
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(HttpClientTest, SendsAgainOnAFreshConnectionWhenAKeptOneWasDead) {
  test::FakeHttpServer server([](test::FakePeer& peer) {
    if (peer.request().empty()) return;
    peer.ok("one");
    if (peer.number == 1 && !peer.request().empty()) peer.reset();  // takes the second request, then dies silently
    if (peer.number == 2) peer.wait_gone();
  });
  auto& client = client_of(server);
  test::run([&]() -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await client.send(get()));
    auto second = co_await client.send(get());
    CO_ASSERT_OK(second);
    EXPECT_EQ(second->text, "one");
  });
  EXPECT_EQ(server.connections(), 2);
}

TEST_F(HttpClientTest, DoesNotUseAKeptConnectionThatTheServerClosed) {
  test::FakeHttpServer server([](test::FakePeer& peer) {
    if (!peer.request().empty()) peer.ok("x");
  });
  auto& client = client_of(server);
  test::run([&]() -> asio::awaitable<void> {
    for (int i = 0; i < 3; ++i) {
      CO_ASSERT_OK(co_await client.send(get()));
      co_await sleep_for(std::chrono::milliseconds(20));
    }
  });
  EXPECT_EQ(server.connections(), 3);
}

TEST_F(HttpClientTest, DoesNotSendAgainWhatFailsOnAFreshConnection) {
  test::FakeHttpServer server([](test::FakePeer& peer) {
    peer.request();
    peer.reset();
  });
  auto& client = client_of(server);
  test::run([&]() -> asio::awaitable<void> {
    auto response = co_await client.send(get());
    CO_ASSERT_TRUE(!response);
    EXPECT_EQ(response.error(), posix(ECONNRESET));
  });
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(HttpClientTest, HonoursConnectionCloseAndKeepAliveTime) {
  test::FakeHttpServer server([](test::FakePeer& peer) {
    while (!peer.request().empty())
      peer.ok("x", peer.number == 1 ? "Connection: close\r\n" : "Keep-Alive: timeout=1\r\n");
  });
  auto& client = client_of(server);
  test::run([&]() -> asio::awaitable<void> {
    for (int i = 0; i < 3; ++i) CO_ASSERT_OK(co_await client.send(get()));
  });
  EXPECT_EQ(server.connections(), 3);
}

TEST_F(HttpClientTest, HearsARefusalThatComesBeforeTheBodyIsSent) {
  test::FakeHttpServer server([](test::FakePeer& peer) {
    peer.head();
    peer.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    ::shutdown(peer.fd(), SHUT_WR);
    peer.wait_gone();
  });
  auto& client = client_of(server);
  std::string body(8 << 20, 'x');
  test::run([&]() -> asio::awaitable<void> {
    auto response = co_await client.send(put(std::as_bytes(std::span(body))));
    CO_ASSERT_OK(response);
    EXPECT_EQ(response->status, 403);
    EXPECT_EQ(response->text, "no");
  });
}

TEST_F(HttpClientTest, AsksBeforeItSendsTheBody) {
  test::FakeHttpServer server([](test::FakePeer& peer) {
    auto head = peer.head();
    EXPECT_NE(head.find("Expect: 100-continue\r\n"), std::string::npos);
    if (peer.number == 1) {
      peer.say("HTTP/1.1 100 Continue\r\n\r\n");
      EXPECT_EQ(peer.bytes(4), "body");
      peer.ok("taken");
    } else if (peer.number == 2) {
      peer.say("HTTP/1.1 507 Full\r\nContent-Length: 0\r\n\r\n");
    } else {  // does not know the word, waits
      EXPECT_EQ(peer.bytes(4), "body");
      peer.ok("late");
    }
  });
  HttpClient::Options options;
  options.timeouts.go_ahead = std::chrono::milliseconds(100);
  auto& client = client_of(server, options);
  std::string body = "body";
  test::run([&]() -> asio::awaitable<void> {
    for (auto [status, text] : {std::pair{200, "taken"}, std::pair{507, ""}, std::pair{200, "late"}}) {
      auto request = put(std::as_bytes(std::span(body)));
      request.expect_continue = true;
      auto response = co_await client.send(std::move(request));
      CO_ASSERT_OK(response);
      EXPECT_EQ(response->status, status);
      EXPECT_EQ(response->text, text);
      co_await sleep_for(std::chrono::milliseconds(20));
    }
  });
}

TEST_F(HttpClientTest, RunsManyRequestsAtOnce) {
  test::FakeHttpServer server([](test::FakePeer& peer) {
    for (auto head = peer.request(); !head.empty(); head = peer.request())
      peer.ok(head.substr(4, head.find(' ', 4) - 4));
  });
  auto& client = client_of(server);
  test::run([&]() -> asio::awaitable<void> {
    std::vector<Async<void>> all;
    auto one = [](HttpClient& c, std::string target) -> Async<void> {
      CO_TRY(auto response, co_await c.send(get(target)));
      EXPECT_EQ(response.text, target);
      co_return Result<void>{};
    };
    for (int i = 0; i < 200; ++i) all.push_back(one(client, "/" + std::to_string(i)));
    CO_ASSERT_OK(co_await fan_out(std::move(all), 16));
  });
  EXPECT_LE(server.connections(), 16);
}

TEST_F(HttpClientTest, OutlivesTheLoopsItWasUsedOn) {
  test::FakeHttpServer server([](test::FakePeer& peer) {
    while (!peer.request().empty()) peer.ok("x");
  });
  auto& client = client_of(server);
  for (int i = 0; i < 12; ++i) {  // more than test::run keeps
    test::run([&]() -> asio::awaitable<void> { CO_ASSERT_OK(co_await client.send(get())); });
  }
}

}  // namespace
}  // namespace kiseki::net
