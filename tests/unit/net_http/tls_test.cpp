// Bodies through TLS, against OpenSSL's server over a socket with little room.
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>

#include "client_fixture.hpp"

namespace kiseki::net {
namespace {

using KeyPtr = std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)>;
using CertificatePtr = std::unique_ptr<X509, void (*)(X509*)>;

/// A server's context with a certificate of its own making.
std::shared_ptr<SSL_CTX> server_context() {
  std::shared_ptr<SSL_CTX> context(::SSL_CTX_new(::TLS_server_method()), ::SSL_CTX_free);
  KeyPtr key(EVP_EC_gen("P-256"), ::EVP_PKEY_free);
  CertificatePtr certificate(::X509_new(), ::X509_free);
  ::X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
  ::X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  ::X509_set_pubkey(certificate.get(), key.get());
  ::X509_sign(certificate.get(), key.get(), ::EVP_sha256());
  ::SSL_CTX_use_certificate(context.get(), certificate.get());
  ::SSL_CTX_use_PrivateKey(context.get(), key.get());
  return context;
}

/// The server's end of a connection under TLS, with blocking calls.
class SecurePeer {
 public:
  SecurePeer(SSL_CTX& context, int fd) : ssl_(::SSL_new(&context), ::SSL_free) {
    int little = 64 << 10;
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
    ::SSL_set_fd(ssl_.get(), fd);
  }
  bool accept() { return ::SSL_accept(ssl_.get()) == 1; }
  /// What comes, until there are `size` bytes behind the head.
  std::string request(std::size_t size) {
    std::string text;
    auto whole = [&] {
      auto head = text.find("\r\n\r\n");
      return head != std::string::npos && text.size() >= head + 4 + size;
    };
    char piece[5000];
    while (!whole()) {
      int got = ::SSL_read(ssl_.get(), piece, sizeof piece);
      if (got <= 0) return text;
      text.append(piece, static_cast<std::size_t>(got));
    }
    return text;
  }
  void say(const std::string& text) { ::SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())); }

 private:
  std::unique_ptr<SSL, void (*)(SSL*)> ssl_;
};

std::string numbered(std::size_t size) {
  std::string text;
  for (std::size_t i = 0; text.size() < size; ++i) text += std::to_string(i) + ' ';
  text.resize(size);
  return text;
}

class SecureHttpClient : public HttpClientTest {
 protected:
  HttpClient& secure_client_of(test::FakeHttpServer& server) {
    HttpClient::Options options;
    options.tls.skip_verification = true;
    client_ = std::make_unique<HttpClient>(HttpEndpoint{true, "127.0.0.1", server.port()}, std::move(options), pool_);
    return *client_;
  }
  std::shared_ptr<SSL_CTX> context_ = server_context();
};

TEST_F(SecureHttpClient, SendsPiecesOfEverySizeThroughASocketThatIsOftenFull) {
  const auto body = numbered(3'000'000);
  std::string seen;
  test::FakeHttpServer server([&](test::FakePeer& plain) {
    SecurePeer peer(*context_, plain.fd());
    if (!peer.accept()) return;
    seen = peer.request(body.size());
    peer.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  });
  auto& client = secure_client_of(server);
  test::run([&]() -> asio::awaitable<void> {
    HttpRequest request = put({});
    request.body.clear();
    auto rest = std::as_bytes(std::span(body));
    for (std::size_t size = 1; !rest.empty(); size = size * 3 + 1) {  // also above what is encrypted at once
      auto piece = rest.first(std::min(size, rest.size()));
      request.body.push_back(piece);
      rest = rest.subspan(piece.size());
    }
    auto response = co_await client.send(std::move(request));
    CO_ASSERT_OK(response);
    EXPECT_EQ(response->status, 200);
  });
  server.stop();
  EXPECT_TRUE(seen.ends_with("\r\n\r\n" + body)) << seen.size() << " bytes came";
}

TEST_F(SecureHttpClient, ReceivesIntoTheCallersMemory) {
  const auto body = numbered(2'000'000);
  test::FakeHttpServer server([&](test::FakePeer& plain) {
    SecurePeer peer(*context_, plain.fd());
    if (!peer.accept()) return;
    peer.request(0);
    peer.say("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  });
  auto& client = secure_client_of(server);
  std::string into(body.size(), '.');
  test::run([&]() -> asio::awaitable<void> {
    auto request = get();
    request.into = std::as_writable_bytes(std::span(into));
    auto response = co_await client.send(std::move(request));
    CO_ASSERT_OK(response);
    EXPECT_EQ(response->size, body.size());
  });
  EXPECT_TRUE(into == body);
}

}  // namespace
}  // namespace kiseki::net
