#include "net/http_connection.hpp"

#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <cerrno>

#include "core/async.hpp"
#include "core/log.hpp"
#include "net/http_parser.hpp"
#include "net/net_error.hpp"

namespace kiseki::net {

namespace {

namespace http = boost::beast::http;
using boost::system::error_code;

/// What is received beyond a header is copied once more, so the first bite is small; a small object fits in it.
constexpr std::size_t kFirstBite = 8 << 10;

/// Of a body: a part of it that a processor's own cache holds, for those who look at it as it arrives.
constexpr std::size_t kMostAtOnce = 256 << 10;

iovec piece_of(const void* data, std::size_t size) { return {const_cast<void*>(data), size}; }

}  // namespace

HttpConnection::HttpConnection(asio::any_io_executor executor, const HttpTimeouts& timeouts)
    : timeouts_(timeouts), stream_(std::move(executor)), in_(kFirstBite) {
  stream_.acknowledge_at_once();
}

void HttpConnection::check(SteadyClock::time_point now) {
  if (in_body_) {
    auto unread = stream_.unread_bytes();
    if (std::exchange(unread_, unread) != unread) moved_ = true;
  }
  if (std::exchange(moved_, false)) phase_end_ = now + timeouts_.stall;
  if (now < phase_end_ && now < end_) return;
  timed_out_ = true;
  stream_.close();
}

Async<void> HttpConnection::connect(SocketAddress to, std::chrono::nanoseconds budget) {
  begin_phase(budget);
  auto connected = co_await stream_.connect(to);
  if (!connected) co_return error_of(connected.error());
  co_return Result<void>{};
}

bool HttpConnection::forgive() {
  stream_.close();
  timed_out_ = false;
  return SteadyClock::now() < end_;
}

Async<void> HttpConnection::secure(std::shared_ptr<asio::ssl::context> tls, std::string host) {
  begin_phase(timeouts_.handshake);
  std::string why;
  auto secured = co_await stream_.secure(std::move(tls), host, why);
  if (secured) co_return Result<void>{};
  auto error = error_of(secured.error());
  if (error == NetErrc::untrusted) log::warn("http.untrusted", {{"host", host}, {"why", why}});
  if (error == NetErrc::tls_failed) log::warn("http.handshake", {{"host", host}, {"why", why}});
  co_return error;
}

bool HttpConnection::alive() {
  char byte = 0;
  auto got = ::recv(stream_.descriptor(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (got > 0) return stream_.is_secure();  // session tickets; in the clear nobody speaks unasked
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

/// As ByteStream's.
Async<std::size_t> HttpConnection::read_some(std::span<char> into, std::size_t coming) {
  auto got = co_await stream_.read_some(into, coming);
  if (!got) co_return error_of(got.error());
  if (*got > 0) moved_ = heard_ = true;
  co_return *got;
}

/// All of it, the whole remainder with each call; uses `pieces` up.
Async<void> HttpConnection::write_all(std::span<iovec> pieces) {
  while (!pieces.empty()) {
    auto wrote = co_await stream_.write_some(pieces);
    if (!wrote) co_return error_of(wrote.error());
    moved_ = true;
    auto sent = *wrote;
    while (!pieces.empty() && sent >= pieces.front().iov_len) {
      sent -= pieces.front().iov_len;
      pieces = pieces.subspan(1);
    }
    if (sent > 0)
      pieces.front() = piece_of(static_cast<char*>(pieces.front().iov_base) + sent, pieces.front().iov_len - sent);
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
  auto only = piece_of(head.data(), head.size());
  CO_CHECK(co_await write_all({&only, 1}));
  auto waited = co_await with_timeout(timeouts_.go_ahead, stream_.readable());
  if (!waited && waited.error() != posix(ETIMEDOUT)) co_return waited;
  answered = waited.has_value();
  co_return Result<void>{};
}

Async<void> HttpConnection::send_body(const HttpRequest& request, std::string_view head) {
  std::vector<iovec> pieces;
  pieces.reserve(request.body.size() + 1);
  if (!head.empty()) pieces.push_back(piece_of(head.data(), head.size()));
  for (auto piece : request.body)
    if (!piece.empty()) pieces.push_back(piece_of(piece.data(), piece.size()));
  co_return co_await write_all(pieces);
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
    CO_TRY(auto got, co_await read_some(std::span(in_).subspan(in_end_)));
    if (got == 0) co_return posix(ECONNRESET);
    in_end_ += got;
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
  if (size > (direct ? request.into.size() : request.text_limit)) co_return NetErrc::too_large;
  auto early = std::min<std::size_t>(size, in_end_ - in_at_);
  parser.take({in_.data() + in_at_, early});
  in_at_ += early;
  auto at = early;
  if (!direct) response.text.resize(size);
  auto* to = direct ? reinterpret_cast<char*>(request.into.data()) : response.text.data();
  in_body_ = true;
  while (at < size) {
    CO_TRY(auto got, co_await read_some({to + at, std::min(size - at, kMostAtOnce)}, size - at));
    if (got == 0) co_return posix(ECONNRESET);
    at += got;
    if (direct) parser.grow(got);
  }
  in_body_ = false;
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
      if (ec == http::error::body_limit) co_return NetErrc::too_large;
      if (ec && ec != http::error::need_more) co_return NetErrc::malformed;
    }
    std::memmove(in_.data(), in_.data() + in_at_, in_end_ - in_at_);
    in_end_ -= std::exchange(in_at_, 0);
    if (in_end_ == in_.size()) co_return NetErrc::malformed;  // a chunk header longer than that
    CO_TRY(auto got, co_await read_some(std::span(in_).subspan(in_end_)));
    in_end_ += got;
    if (got > 0) continue;
    if (!parser.need_eof()) co_return posix(ECONNRESET);
    parser.put_eof(ec);
    if (ec) co_return NetErrc::malformed;
    co_return Result<void>{};
  }
}

}  // namespace kiseki::net
