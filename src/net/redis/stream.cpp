#include "net/redis/stream.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "core/async.hpp"
#include "net/tls_client.hpp"

namespace kiseki::net::redis {

namespace ssl = asio::ssl;
using boost::system::error_code;
using Socket = asio::generic::stream_protocol::socket;

namespace {

std::error_code as_errno(const error_code& ec) {
  if (ec == asio::error::eof || ec == ssl::error::stream_truncated) return posix(EPIPE);
  if (ec.category() == asio::error::get_ssl_category()) return posix(EPROTO);
  return ec.category() == boost::system::system_category() ? posix(ec.value()) : posix(EIO);
}

}  // namespace

Explained<std::shared_ptr<const TlsContext>> TlsContext::load(const Tls& tls) {
  TlsOptions options;
  options.ca_file = tls.ca_file;
  options.certificate = tls.cert_file;
  options.key = tls.key_file;
  options.skip_verification = !tls.verify;
  auto made = make_tls_context(options);
  if (!made.context) return Failure{posix(EINVAL), "TLS to Redis: " + made.error};
  return std::make_shared<const TlsContext>(TlsContext{std::move(made.context), tls.verify, tls.server_name});
}

namespace {

/// Plain bytes over any socket.
class PlainStream final : public Stream {
 public:
  explicit PlainStream(Socket socket) : socket_(std::move(socket)) {}
  Async<std::size_t> read_some(std::span<char> into) override {
    error_code ec;
    auto got = co_await socket_.async_read_some(asio::buffer(into.data(), into.size()),
                                                asio::redirect_error(asio::use_awaitable, ec));
    if (ec) co_return as_errno(ec);
    co_return got;
  }
  Async<std::size_t> write_some(std::span<const char> from) override {
    error_code ec;
    auto sent = co_await socket_.async_write_some(asio::buffer(from.data(), from.size()),
                                                  asio::redirect_error(asio::use_awaitable, ec));
    if (ec) co_return as_errno(ec);
    co_return sent;
  }
  void close() noexcept override {
    error_code ignored;
    socket_.shutdown(Socket::shutdown_both, ignored);
    socket_.close(ignored);
  }

 private:
  Socket socket_;
};

class TlsStream final : public Stream {
 public:
  TlsStream(Socket socket, std::shared_ptr<const TlsContext> tls)
      : tls_(std::move(tls)), stream_(std::move(socket), *tls_->context) {}

  Async<void> shake_hands(const std::string& host, std::string& why) {
    auto name = tls_->server_name.empty() ? host : tls_->server_name;
    ::SSL_set_tlsext_host_name(stream_.native_handle(), name.c_str());
    error_code ec;
    if (tls_->verify) stream_.set_verify_callback(ssl::host_name_verification(name), ec);
    co_await stream_.async_handshake(ssl::stream_base::client, asio::redirect_error(asio::use_awaitable, ec));
    if (ec) why = ec.message();
    if (ec) co_return as_errno(ec);
    co_return Result<void>{};
  }
  Async<std::size_t> read_some(std::span<char> into) override {
    error_code ec;
    auto got = co_await stream_.async_read_some(asio::buffer(into.data(), into.size()),
                                                asio::redirect_error(asio::use_awaitable, ec));
    if (ec) co_return as_errno(ec);
    co_return got;
  }
  Async<std::size_t> write_some(std::span<const char> from) override {
    error_code ec;
    auto sent = co_await stream_.async_write_some(asio::buffer(from.data(), from.size()),
                                                  asio::redirect_error(asio::use_awaitable, ec));
    if (ec) co_return as_errno(ec);
    co_return sent;
  }
  void close() noexcept override {
    error_code ignored;
    stream_.next_layer().shutdown(Socket::shutdown_both, ignored);
    stream_.next_layer().close(ignored);
  }

 private:
  std::shared_ptr<const TlsContext> tls_;
  ssl::stream<Socket> stream_;
};

using Places = std::vector<asio::generic::stream_protocol::endpoint>;

Async<Places> places_of(Endpoint to, NameLookup& names) {
  Places out;
  if (!to.path.empty()) {
    if (to.path.size() >= sizeof(sockaddr_un::sun_path)) co_return posix(ENAMETOOLONG);
    out.emplace_back(asio::local::stream_protocol::endpoint(to.path));
    co_return out;
  }
  CO_TRY(auto found, co_await names.find(to.host, to.port));
  for (const auto& address : found) out.emplace_back(address.bytes, address.size, IPPROTO_TCP);
  co_return out;
}

/// Small requests leave at once; a peer that is gone is noticed within about ten seconds, idle or not.
void tune_tcp(Socket& socket) {
  auto set = [fd = socket.native_handle()](int level, int option, int value) {
    ::setsockopt(fd, level, option, &value, sizeof value);
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 5);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 2);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 10'000);
}

Async<Socket> connect_socket(Endpoint to, NameLookup& names) {
  CO_TRY(auto places, co_await places_of(to, names));
  auto here = co_await asio::this_coro::executor;
  std::error_code last = posix(EHOSTUNREACH);
  for (const auto& place : places) {
    Socket socket(here);
    error_code ec;
    co_await socket.async_connect(place, asio::redirect_error(asio::use_awaitable, ec));
    if (!ec) {
      if (to.path.empty()) tune_tcp(socket);
      co_return std::move(socket);
    }
    last = as_errno(ec);
  }
  names.forget(to.host);
  co_return last;
}

}  // namespace

Async<std::unique_ptr<Stream>> Stream::connect(Endpoint to, std::shared_ptr<const TlsContext> tls, NameLookup& names,
                                               std::string& why) {
  auto socket = co_await connect_socket(to, names);
  if (!socket) {
    why = socket.error().message();
    co_return socket.error();
  }
  if (!tls) co_return std::unique_ptr<Stream>(std::make_unique<PlainStream>(std::move(*socket)));
  auto stream = std::make_unique<TlsStream>(std::move(*socket), std::move(tls));
  CO_CHECK(co_await stream->shake_hands(to.host, why));
  co_return std::unique_ptr<Stream>(std::move(stream));
}

}  // namespace kiseki::net::redis
