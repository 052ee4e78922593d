#include <map>

#include "client_fixture.hpp"
#include "net/http_proxy.hpp"

namespace kiseki::net {
namespace {

std::map<std::string, std::string> g_environment;  // what proxy_for sees

const char* look(const char* name) {
  auto at = g_environment.find(name);
  return at == g_environment.end() ? nullptr : at->second.c_str();
}

std::string proxy(const char* host, bool tls = false) {
  HttpEndpoint server{tls, host, static_cast<std::uint16_t>(tls ? 443 : 80)};
  auto url = proxy_for(server, look);
  return url ? url->endpoint.authority() : unusable_proxy(server, look);
}

TEST(ProxyFor, FollowsTheEnvironment) {
  g_environment = {{"http_proxy", "proxy:3128"},
                   {"HTTPS_PROXY", "http://user:p%40ss@secure:8080"},
                   {"no_proxy", "internal.example, .corp.example,10.0.0.7,other.example:81"}};
  EXPECT_EQ(proxy("store.example"), "proxy:3128");
  EXPECT_EQ(proxy("store.example", true), "secure:8080");
  EXPECT_EQ(proxy("internal.example"), "");
  EXPECT_EQ(proxy("a.INTERNAL.example"), "");
  EXPECT_EQ(proxy("notinternal.example"), "proxy:3128");
  EXPECT_EQ(proxy("corp.example"), "proxy:3128");
  EXPECT_EQ(proxy("a.corp.example"), "");
  EXPECT_EQ(proxy("10.0.0.7"), "");
  EXPECT_EQ(proxy("other.example"), "proxy:3128") << "another port";
  EXPECT_EQ(proxy("localhost"), "");
  EXPECT_EQ(proxy("127.1.2.3"), "");
  EXPECT_EQ(proxy("::1"), "");
  g_environment["no_proxy"] = "10.16.0.0/12, fd00::/8,192.168.7.0/33";
  EXPECT_EQ(proxy("10.31.255.255"), "");
  EXPECT_EQ(proxy("10.32.0.0"), "proxy:3128");
  EXPECT_EQ(proxy("fdab::1"), "");
  EXPECT_EQ(proxy("fe80::1"), "proxy:3128");
  EXPECT_EQ(proxy("192.168.7.1"), "proxy:3128") << "that is no network";
  EXPECT_EQ(proxy("store.example"), "proxy:3128");
  g_environment["no_proxy"] = "*";
  EXPECT_EQ(proxy("store.example"), "");
  g_environment = {};
  EXPECT_EQ(proxy("store.example"), "");
}

TEST(ProxyFor, WhatCannotBeUsedIsNotPassedBy) {
  for (const char* url : {"https://user:secret@proxy:3128", "socks5://proxy:1080", "http://"}) {
    g_environment = {{"https_proxy", url}, {"HTTP_PROXY", url}, {"NO_PROXY", "near.example"}};
    EXPECT_EQ(proxy("store.example", true).substr(0, 12), "https_proxy ") << url;
    EXPECT_EQ(proxy("store.example").substr(0, 11), "HTTP_PROXY ") << url;
    EXPECT_EQ(proxy("store.example", true).find("secret"), std::string::npos);
    EXPECT_EQ(proxy("near.example", true), "");
    EXPECT_EQ(proxy("localhost", true), "");
  }
  g_environment = {};
}

class ThroughAProxy : public HttpClientTest {
 protected:
  HttpClient& client_by(test::FakeHttpServer& server, bool tls, std::string user = "") {
    HttpClient::Options options;
    options.proxy = HttpUrl{{false, "127.0.0.1", server.port()}, std::move(user), "/"};
    client_ = std::make_unique<HttpClient>(
        HttpEndpoint{tls, "store.example", static_cast<std::uint16_t>(tls ? 443 : 80)}, std::move(options), pool_);
    return *client_;
  }
};

TEST_F(ThroughAProxy, PlainRequestsNameTheWholeUrl) {
  std::string seen;
  test::FakeHttpServer server([&seen](test::FakePeer& peer) {
    seen = peer.request();
    peer.ok("proxied");
  });
  auto& client = client_by(server, false, "user:p%40ss");
  test::run([&]() -> asio::awaitable<void> {
    auto response = co_await client.send(get("/a"));
    CO_ASSERT_OK(response);
    EXPECT_EQ(response->text, "proxied");
  });
  server.stop();
  EXPECT_TRUE(seen.starts_with("GET http://store.example/a HTTP/1.1\r\nHost: store.example\r\n")) << seen;
  EXPECT_NE(seen.find("Proxy-Authorization: Basic dXNlcjpwQHNz\r\n"), std::string::npos) << seen;
}

TEST_F(ThroughAProxy, TlsGoesThroughATunnel) {
  std::string seen, hello;
  test::FakeHttpServer server([&](test::FakePeer& peer) {
    seen = peer.request();
    peer.say("HTTP/1.1 200 Connection established\r\n\r\n");
    hello = peer.bytes(1);
  });
  auto& client = client_by(server, true);
  test::run([&]() -> asio::awaitable<void> {
    auto response = co_await client.send(get());
    EXPECT_FALSE(response);  // nobody speaks TLS there
  });
  server.stop();
  EXPECT_TRUE(seen.starts_with("CONNECT store.example:443 HTTP/1.1\r\nHost: store.example:443\r\n")) << seen;
  EXPECT_EQ(hello, "\x16") << "a TLS handshake";
}

TEST_F(ThroughAProxy, ThatRefuses) {
  test::FakeHttpServer server([](test::FakePeer& peer) {
    peer.request();
    peer.say("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
  });
  auto& client = client_by(server, true);
  test::run([&]() -> asio::awaitable<void> {
    auto response = co_await client.send(get());
    CO_ASSERT_TRUE(!response);
    EXPECT_EQ(response.error(), NetErrc::proxy_refused);
  });
}

}  // namespace
}  // namespace kiseki::net
