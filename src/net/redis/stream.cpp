#include "net/redis/stream.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spdlog/fmt/fmt.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>

#include "core/async.hpp"

namespace kiseki::net::redis {

namespace ssl = asio::ssl;
using boost::system::error_code;
using Socket = asio::generic::stream_protocol::socket;

struct TlsContext::State {
  explicit State(const Tls& t) : tls(t), context(ssl::context::tls_client) {}
  Tls tls;
  ssl::context context;
};

TlsContext::TlsContext(std::unique_ptr<State> state) : state_(std::move(state)) {}
TlsContext::~TlsContext() = default;

namespace {

Failure cannot_use(const char* what, const std::string& file, const error_code& ec) {
  return Failure{posix(EINVAL), fmt::format("cannot use the {} {} for TLS: {}", what, file, ec.message())};
}

std::error_code as_errno(const error_code& ec) {
  if (ec == asio::error::eof || ec == ssl::error::stream_truncated) return posix(EPIPE);
  if (ec.category() == asio::error::get_ssl_category()) return posix(EPROTO);
  return ec.category() == boost::system::system_category() ? posix(ec.value()) : posix(EIO);
}

}  // namespace

Explained<std::shared_ptr<const TlsContext>> TlsContext::load(const Tls& tls) {
  auto state = std::make_unique<State>(tls);
  auto& context = state->context;
  error_code ec;
  context.set_options(ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1 | ssl::context::default_workarounds, ec);
  if (!tls.ca_file.empty()) {
    context.load_verify_file(tls.ca_file, ec);
    if (ec) return cannot_use("CA certificate", tls.ca_file, ec);
  } else {
    context.set_default_verify_paths(ec);
  }
  if (!tls.cert_file.empty()) {
    context.use_certificate_chain_file(tls.cert_file, ec);
    if (ec) return cannot_use("certificate", tls.cert_file, ec);
    context.use_private_key_file(tls.key_file, ssl::context::pem, ec);
    if (ec) return cannot_use("private key", tls.key_file, ec);
  }
  context.set_verify_mode(tls.verify ? ssl::verify_peer : ssl::verify_none, ec);
  return std::shared_ptr<const TlsContext>(std::make_shared<TlsContext>(std::move(state)));
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
      : tls_(std::move(tls)), stream_(std::move(socket), tls_->state().context) {}

  Async<void> shake_hands(const std::string& host, std::string& why) {
    const auto& options = tls_->state().tls;
    auto name = options.server_name.empty() ? host : options.server_name;
    ::SSL_set_tlsext_host_name(stream_.native_handle(), name.c_str());
    error_code ec;
    if (options.verify) stream_.set_verify_callback(ssl::host_name_verification(name), ec);
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

/// Every address of a host name. Blocks.
Result<Places> resolve(const Endpoint& to) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  if (::getaddrinfo(to.host.c_str(), std::to_string(to.port).c_str(), &hints, &found) != 0) return posix(EHOSTUNREACH);
  Places out;
  for (auto* at = found; at; at = at->ai_next) out.emplace_back(at->ai_addr, at->ai_addrlen, at->ai_protocol);
  ::freeaddrinfo(found);
  return out;
}

Async<Places> places_of(Endpoint to, BlockingPool& resolver) {
  Places out;
  if (!to.path.empty()) {
    if (to.path.size() >= sizeof(sockaddr_un::sun_path)) co_return posix(ENAMETOOLONG);
    out.emplace_back(asio::local::stream_protocol::endpoint(to.path));
    co_return out;
  }
  error_code not_a_number;
  auto literal = asio::ip::make_address(to.host, not_a_number);
  if (!not_a_number) {
    out.emplace_back(asio::ip::tcp::endpoint(literal, to.port));
    co_return out;
  }
  auto job = [to]() -> Result<Places> { return resolve(to); };
  co_return co_await run_blocking(resolver, job);
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

Async<Socket> connect_socket(Endpoint to, BlockingPool& resolver) {
  CO_TRY(auto places, co_await places_of(to, resolver));
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
  co_return last;
}

}  // namespace

Async<std::unique_ptr<Stream>> Stream::connect(Endpoint to, std::shared_ptr<const TlsContext> tls,
                                               BlockingPool& resolver, std::string& why) {
  auto socket = co_await connect_socket(to, resolver);
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
