// A server that means no good: nothing it says may cost more than the limits, or be taken for an answer.
#include <random>

#include "client_fixture.hpp"

namespace kiseki::net {
namespace {

class HostileServer : public HttpClientTest {
 protected:
  Result<HttpResponse> answer_to(std::string bytes, std::size_t into_size = 0, std::size_t text_limit = 1 << 16) {
    test::FakeHttpServer server([&bytes](test::FakePeer& peer) {
      if (peer.request().empty()) return;
      peer.say(bytes);
    });
    auto& client = client_of(server);
    Result<HttpResponse> out = posix(EIO);
    std::string into(into_size, '.');
    test::run([&]() -> asio::awaitable<void> {
      auto request = get();
      request.into = std::as_writable_bytes(std::span(into));
      request.text_limit = text_limit;
      out = co_await client.send(std::move(request));
    });
    return out;
  }
};

/// What a server that restarts does to whoever is greeting it; it will be back.
TEST_F(HostileServer, AGreetingCutShortSaysNothingOfTrust) {
  test::FakeHttpServer server([](test::FakePeer& peer) { peer.bytes(1); });
  HttpClient client({true, "127.0.0.1", server.port()}, {}, pool_);
  test::run([&]() -> asio::awaitable<void> {
    auto response = co_await client.send(get());
    CO_ASSERT_TRUE(!response);
    EXPECT_EQ(response.error(), posix(ECONNRESET));
  });
}

TEST_F(HostileServer, AServerWithoutTlsIsToldFromOneThatIsAway) {
  test::FakeHttpServer server([](test::FakePeer& peer) { peer.say("HTTP/1.1 400 Bad Request\r\n\r\n"); });
  HttpClient client({true, "127.0.0.1", server.port()}, {}, pool_);
  test::run([&]() -> asio::awaitable<void> {
    auto response = co_await client.send(get());
    CO_ASSERT_TRUE(!response);
    EXPECT_EQ(response.error(), NetErrc::tls_failed);
  });
}

TEST_F(HostileServer, IsNotBelieved) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  for (const auto& [what, bytes] : std::initializer_list<std::pair<const char*, std::string>>{
           {"nothing", ""},
           {"no HTTP", "SSH-2.0-OpenSSH_9.2\r\n"},
           {"another protocol", "HTTP/9.9 200 OK\r\n\r\n"},
           {"a status of letters", "HTTP/1.1 abc OK\r\n\r\n"},
           {"a field without end", ok + "A: " + std::string(40'000, 'x')},
           {"too many fields", ok +
                                   [] {
                                     std::string s;
                                     for (int i = 0; i < 9000; ++i) s += "A: b\r\n";
                                     return s;
                                   }() +
                                   "\r\n"},
           {"two lengths", ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"},
           {"a length beyond numbers", ok + "Content-Length: 99999999999999999999999\r\n\r\n"},
           {"a negative length", ok + "Content-Length: -1\r\n\r\n"},
           {"a length that we do not take", ok + "Content-Length: 70000\r\n\r\n"},
           {"a body that ends early", ok + "Content-Length: 10\r\n\r\nabc"},
           {"chunks without number", ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\n"},
           {"a chunk size beyond numbers", ok + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"},
           {"a chunk extension without end", ok + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(70'000, 'x')},
           {"more chunks than we take", ok + "Transfer-Encoding: chunked\r\n\r\n11170\r\n" + std::string(70'000, 'x')},
           {"chunks that end early", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nab"},
           {"an endless body", ok + "\r\n" + std::string(70'000, 'x')},
           {"only interim answers", [] {
              std::string s;
              for (int i = 0; i < 50; ++i) s += "HTTP/1.1 100 Continue\r\n\r\n";
              return s;
            }()}}) {
    auto response = answer_to(bytes);
    EXPECT_FALSE(response) << what << ": " << (response ? response->status : 0);
  }
}

TEST_F(HostileServer, DoesNotWriteBeyondTheCallersMemory) {
  const std::string ok = "HTTP/1.1 200 OK\r\n", much(101, 'x');
  for (const auto& body : {"Content-Length: 101\r\n\r\n" + much,
                           "Transfer-Encoding: chunked\r\n\r\n65\r\n" + much + "\r\n0\r\n\r\n", "\r\n" + much}) {
    auto response = answer_to(ok + body, 100);
    ASSERT_FALSE(response) << body;
    EXPECT_EQ(response.error(), NetErrc::too_large) << body;
  }
  EXPECT_TRUE(answer_to(ok + "Content-Length: 100\r\n\r\n" + std::string(100, 'x'), 100));
}

TEST_F(HostileServer, UnaskedBytesAfterAnAnswerEndTheConnection) {
  test::FakeHttpServer server([](test::FakePeer& peer) {
    if (peer.request().empty()) return;
    peer.say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb");
    peer.wait_gone();
  });
  auto& client = client_of(server);
  test::run([&]() -> asio::awaitable<void> {
    for (int i = 0; i < 3; ++i) {
      auto response = co_await client.send(get());
      CO_ASSERT_OK(response);
      EXPECT_EQ(response->text, "a");
    }
  });
  EXPECT_EQ(server.connections(), 3);
}

TEST_F(HostileServer, RandomDamageNeverHangsOrCrashes) {
  const std::string good =
      "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
  std::mt19937 random(20261125);
  for (int round = 0; round < 150; ++round) {
    auto bytes = good;
    for (int i = 0; i < 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    bytes.resize(random() % (bytes.size() + 1));
    auto response = answer_to(bytes, round % 2 ? 64 : 0);
    if (response) EXPECT_LE(response->size + response->text.size(), 1u << 16);
  }
}

}  // namespace
}  // namespace kiseki::net
