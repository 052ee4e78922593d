#include "net/http_connection.hpp"

#include <netinet/tcp.h>
#include <openssl/x509_vfy.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/error.hpp>

#include "core/async.hpp"
#include "core/log.hpp"
#include "net/http_parser.hpp"
#include "net/net_error.hpp"

namespace kiseki::net {

namespace {

namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

/// What is received beyond a header is copied once more, so the first bite is small; a small object fits in it.
constexpr std::size_t kFirstBite = 8 << 10;

auto into_code(error_code& ec) { return asio::redirect_error(asio::use_awaitable, ec); }

void set_flag(tcp::socket& socket, int option) {
  int on = 1;
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, option, &on, sizeof on);  // a refusal costs speed only
}

bool is_verification_failure(const error_code& ec) {
  return ec.category() == asio::error::get_ssl_category() &&
         ERR_GET_REASON(static_cast<unsigned long>(ec.value())) == SSL_R_CERTIFICATE_VERIFY_FAILED;
}

}  // namespace

HttpConnection::HttpConnection(asio::any_io_executor executor, const HttpTimeouts& timeouts)
    : timeouts_(timeouts), socket_(std::move(executor)), in_(kFirstBite) {}

void HttpConnection::check(SteadyClock::time_point now) {
  if (std::exchange(moved_, false)) phase_end_ = now + timeouts_.stall;
  if (now < phase_end_ && now < end_) return;
  timed_out_ = true;
  error_code ignored;
  socket_.close(ignored);
}

std::error_code HttpConnection::error_of(const error_code& ec) const {
  if (timed_out_) return posix(ETIMEDOUT);
  if (ec == asio::error::operation_aborted) return posix(ECANCELED);
  if (ec.category() == boost::system::system_category()) return posix(ec.value());
  if (ec == asio::error::eof || ec == asio::ssl::error::stream_truncated) return posix(ECONNRESET);
  if (ec.category() == asio::error::get_ssl_category()) return NetErrc::tls_failed;
  return NetErrc::malformed;
}

Async<void> HttpConnection::connect(SocketAddress to, std::chrono::nanoseconds budget) {
  tcp::endpoint endpoint;
  std::memcpy(endpoint.data(), to.bytes, to.size);
  endpoint.resize(to.size);
  begin_phase(budget);
  error_code ec;
  co_await socket_.async_connect(endpoint, into_code(ec));
  if (ec) co_return error_of(ec);
  set_flag(socket_, TCP_NODELAY);
  co_return Result<void>{};
}

bool HttpConnection::forgive() {
  error_code ignored;
  socket_.close(ignored);
  timed_out_ = false;
  return SteadyClock::now() < end_;
}

Async<void> HttpConnection::secure(std::shared_ptr<asio::ssl::context> tls, std::string host) {
  context_ = std::move(tls);
  tls_ = std::make_unique<asio::ssl::stream<tcp::socket&>>(socket_, *context_);
  SSL_set_tlsext_host_name(tls_->native_handle(), host.c_str());
  tls_->set_verify_callback(asio::ssl::host_name_verification(host));
  begin_phase(timeouts_.handshake);
  error_code ec;
  co_await tls_->async_handshake(asio::ssl::stream_base::client, into_code(ec));
  if (!ec) co_return Result<void>{};
  if (is_verification_failure(ec)) {
    auto why = X509_verify_cert_error_string(SSL_get_verify_result(tls_->native_handle()));
    log::warn("http.untrusted", {{"host", host}, {"why", why}});
    co_return NetErrc::untrusted;
  }
  auto error = error_of(ec);
  if (error != posix(ETIMEDOUT) && error != posix(ECANCELED)) {
    log::warn("http.handshake", {{"host", host}, {"why", ec.message()}});
    error = NetErrc::tls_failed;
  }
  co_return error;
}

bool HttpConnection::alive() {
  char byte = 0;
  auto got = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (got > 0) return tls_ != nullptr;  // session tickets; in the clear nobody speaks unasked
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

template <class Buffers>
asio::awaitable<std::size_t> HttpConnection::write_some(const Buffers& buffers, error_code& ec) {
  auto sent = tls_ ? co_await tls_->async_write_some(buffers, into_code(ec))
                   : co_await socket_.async_write_some(buffers, into_code(ec));
  moved_ = true;
  co_return sent;
}

asio::awaitable<std::size_t> HttpConnection::read_some(std::span<char> into, error_code& ec) {
  set_flag(socket_, TCP_QUICKACK);  // the kernel forgets it again
  auto buffer = asio::buffer(into.data(), into.size());
  auto got = tls_ ? co_await tls_->async_read_some(buffer, into_code(ec))
                  : co_await socket_.async_read_some(buffer, into_code(ec));
  if (got > 0) moved_ = heard_ = true;
  co_return got;
}

/// All of it, the whole remainder with each call; uses `buffers` up.
Async<void> HttpConnection::write_all(std::span<asio::const_buffer> buffers) {
  while (!buffers.empty()) {
    error_code ec;
    auto sent = co_await write_some(buffers, ec);
    if (ec) co_return error_of(ec);
    while (!buffers.empty() && sent >= buffers.front().size()) {
      sent -= buffers.front().size();
      buffers = buffers.subspan(1);
    }
    if (sent > 0) buffers.front() += sent;
  }
  co_return Result<void>{};
}

namespace {

void write_head(const HttpRequest& request, std::string_view authority, std::string& out) {
  out.clear();
  out.append(request.method).append(" ").append(request.target).append(" HTTP/1.1\r\nHost: ").append(authority);
  out.append("\r\n").append(request.fields.lines());
  if (request.method == "PUT" || request.method == "POST")
    out.append("Content-Length: ").append(std::to_string(request.body_size())).append("\r\n");
  if (request.expect_continue) out.append("Expect: 100-continue\r\n");
  out.append("\r\n");
}

}  // namespace

/// Sends the head and waits a little for the server's word. `answered`: it is there, and may be a refusal.
Async<void> HttpConnection::ask_first(std::string_view head, bool& answered) {
  asio::const_buffer only(head.data(), head.size());
  CO_CHECK(co_await write_all({&only, 1}));
  auto readable = [](tcp::socket& socket) -> Async<void> {
    error_code ec;
    co_await socket.async_wait(tcp::socket::wait_read, into_code(ec));
    if (ec) co_return posix(ec.value());
    co_return Result<void>{};
  };
  auto waited = co_await with_timeout(timeouts_.go_ahead, readable(socket_));
  if (!waited && waited.error() != posix(ETIMEDOUT)) co_return waited;
  answered = waited.has_value();
  co_return Result<void>{};
}

Async<void> HttpConnection::send_body(const HttpRequest& request, std::string_view head) {
  std::vector<asio::const_buffer> buffers;
  buffers.reserve(request.body.size() + 1);
  if (!head.empty()) buffers.emplace_back(head.data(), head.size());
  for (auto piece : request.body)
    if (!piece.empty()) buffers.emplace_back(piece.data(), piece.size());
  co_return co_await write_all(buffers);
}

Async<HttpResponse> HttpConnection::exchange(const HttpRequest& request, std::string_view authority) {
  reusable_ = heard_ = false;
  in_at_ = in_end_ = 0;
  begin_phase(timeouts_.stall);
  write_head(request, authority, head_);
  std::string_view head = head_;
  if (request.expect_continue && request.body_size() > 0) {
    bool answered = false;
    CO_CHECK(co_await ask_first(head, answered));
    if (answered) {
      CO_TRY(auto word, co_await receive(request));
      if (word.status != 100) {
        reusable_ = false;  // it may still wait for the body
        co_return word;
      }
    }
    head = {};
  }
  auto sent = co_await send_body(request, head);
  begin_phase(timeouts_.first_byte);
  if (sent) co_return co_await receive_final(request);
  if (sent.error() == posix(ETIMEDOUT) || sent.error() == posix(ECANCELED)) co_return sent.error();
  // A server that refuses early may have said why before it closed.
  auto word = co_await receive_final(request);
  reusable_ = false;
  if (word && !word->ok()) co_return word;
  co_return sent.error();
}

/// The answer; "100 Continue" and its like are passed over.
Async<HttpResponse> HttpConnection::receive_final(const HttpRequest& request) {
  constexpr int kMostInterim = 8;
  for (int i = 0; i < kMostInterim; ++i) {
    CO_TRY(auto response, co_await receive(request));
    if (response.status >= 200) co_return response;
  }
  co_return NetErrc::malformed;
}

Async<HttpResponse> HttpConnection::receive(const HttpRequest& request) {
  HttpResponse response;
  HttpParser parser(response, request);
  CO_CHECK(co_await receive_head(parser));
  if (!parser.is_done()) CO_CHECK(co_await receive_body(parser, request, response));
  reusable_ = parser.keep_alive() && in_at_ == in_end_;
  co_return response;
}

Async<void> HttpConnection::receive_head(HttpParser& parser) {
  for (;;) {
    if (in_at_ < in_end_) {
      error_code ec;
      in_at_ += parser.put(asio::buffer(in_.data() + in_at_, in_end_ - in_at_), ec);
      if (parser.is_header_done()) co_return Result<void>{};
      if (ec && ec != http::error::need_more) co_return NetErrc::malformed;
    }
    if (in_end_ == in_.size()) {
      if (in_.size() >= HttpParser::kMaxHeader) co_return NetErrc::malformed;
      in_.resize(in_.size() * 2);
    }
    error_code ec;
    in_end_ += co_await read_some(std::span(in_).subspan(in_end_), ec);
    if (ec) co_return error_of(ec);
  }
}

Async<void> HttpConnection::receive_body(HttpParser& parser, const HttpRequest& request, HttpResponse& response) {
  auto size = parser.content_length();
  if (size && !parser.chunked()) return receive_sized(parser, *size, request, response);
  return receive_parsed(parser);
}

/// A body of known size: what came with the header is copied, the rest is received where it belongs.
Async<void> HttpConnection::receive_sized(HttpParser& parser, std::uint64_t size, const HttpRequest& request,
                                          HttpResponse& response) {
  bool direct = parser.direct();
  if (size > (direct ? request.into.size() : request.text_limit)) co_return NetErrc::malformed;
  auto early = std::min<std::size_t>(size, in_end_ - in_at_);
  parser.take({in_.data() + in_at_, early});
  in_at_ += early;
  auto at = early;
  if (!direct) response.text.resize(size);
  auto* to = direct ? reinterpret_cast<char*>(request.into.data()) : response.text.data();
  while (at < size) {
    error_code ec;
    at += co_await read_some({to + at, size - at}, ec);
    if (ec) co_return error_of(ec);
  }
  if (direct) response.size = size;
  co_return Result<void>{};
}

/// A body in chunks, or one that lasts until the server closes.
Async<void> HttpConnection::receive_parsed(HttpParser& parser) {
  parser.eager(true);
  for (;;) {
    error_code ec;
    if (in_at_ < in_end_) {
      in_at_ += parser.put(asio::buffer(in_.data() + in_at_, in_end_ - in_at_), ec);
      if (parser.is_done()) co_return Result<void>{};
      if (ec && ec != http::error::need_more) co_return NetErrc::malformed;
    }
    std::memmove(in_.data(), in_.data() + in_at_, in_end_ - in_at_);
    in_end_ -= std::exchange(in_at_, 0);
    if (in_end_ == in_.size()) co_return NetErrc::malformed;  // a chunk header longer than that
    in_end_ += co_await read_some(std::span(in_).subspan(in_end_), ec);
    if (ec == asio::error::eof && parser.need_eof()) {
      parser.put_eof(ec);
      if (ec) co_return NetErrc::malformed;
      co_return Result<void>{};
    }
    if (ec) co_return error_of(ec);
  }
}

}  // namespace kiseki::net
