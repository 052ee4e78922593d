#include "net/byte_stream.hpp"

#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>
#include <optional>

#include "net/tls_session.hpp"

namespace kiseki::net {

namespace {

using Socket = asio::generic::stream_protocol::socket;
using boost::system::error_code;

/// After so many bytes moved without a wait, other coroutines of the loop get a turn.
constexpr std::size_t kTurn = std::size_t{1} << 20;
/// A wait for a body lasts until so many bytes are there, or all that is left: a wake-up costs more than the copy of a
/// few pages. The kernel ends it earlier when its receive window is full.
constexpr std::size_t kWorthWaking = 256 << 10;
constexpr std::size_t kLargestRecord = 17 << 10;  // of TLS, with everything around it
constexpr std::size_t kMostPieces = 256;          // of one system call
constexpr std::size_t kEncryptedAtOnce = 256 << 10;

std::error_code code_of(const error_code& ec) {
  if (ec == asio::error::operation_aborted) return posix(ECANCELED);
  return posix(ec.value());
}

std::error_code last_error() { return posix(errno == EBADF ? ECANCELED : errno); }
bool is_later() { return errno == EAGAIN || errno == EINTR; }

}  // namespace

struct ByteStream::State {
  explicit State(const asio::any_io_executor& executor) : socket(executor) {}

  Async<void> wait(Socket::wait_type what);
  void acknowledge();
  asio::awaitable<void> take_turns();
  void wake_at(std::size_t bytes);
  Async<std::size_t> read_plain(std::span<char> into, std::size_t coming);
  Async<std::size_t> write_plain(std::span<const iovec> pieces);
  template <class Step>
  Async<std::size_t> run(Step step, std::size_t coming = 1);

  Socket socket;
  std::shared_ptr<asio::ssl::context> context;
  std::optional<TlsSession> tls;
  std::size_t in_turn = 0;  // bytes moved since the last wait
  int low_water = 1;        // bytes that wake a wait to read
  bool acknowledging = false;
};

Async<void> ByteStream::State::wait(Socket::wait_type what) {
  in_turn = 0;
  if (acknowledging && what == Socket::wait_read) acknowledge();
  error_code ec;
  co_await socket.async_wait(what, asio::redirect_error(asio::use_awaitable, ec));
  if (ec) co_return code_of(ec);
  co_return Result<void>{};
}

// The kernel forgets it again. What has come and is not acknowledged yet is now.
void ByteStream::State::acknowledge() {
  int on = 1;
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

asio::awaitable<void> ByteStream::State::take_turns() {
  if (in_turn < kTurn) co_return;
  in_turn = 0;
  co_await asio::post(socket.get_executor(), asio::use_awaitable);
}

void ByteStream::State::wake_at(std::size_t bytes) {
  auto wanted = static_cast<int>(std::clamp(bytes, std::size_t{1}, kWorthWaking));
  if (wanted == low_water) return;
  if (::setsockopt(socket.native_handle(), SOL_SOCKET, SO_RCVLOWAT, &wanted, sizeof wanted) == 0) low_water = wanted;
}

Async<std::size_t> ByteStream::State::read_plain(std::span<char> into, std::size_t coming) {
  co_await take_turns();
  for (;;) {
    auto got = ::recv(socket.native_handle(), into.data(), into.size(), MSG_DONTWAIT);
    if (got >= 0) {
      in_turn += static_cast<std::size_t>(got);
      co_return static_cast<std::size_t>(got);
    }
    if (!is_later()) co_return last_error();
    wake_at(coming);
    CO_CHECK(co_await wait(Socket::wait_read));
  }
}

Async<std::size_t> ByteStream::State::write_plain(std::span<const iovec> pieces) {
  co_await take_turns();
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());  // the kernel reads it only
  message.msg_iovlen = std::min(pieces.size(), kMostPieces);
  for (;;) {
    auto sent = ::sendmsg(socket.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
      in_turn += static_cast<std::size_t>(sent);
      co_return static_cast<std::size_t>(sent);
    }
    if (!is_later()) co_return last_error();
    CO_CHECK(co_await wait(Socket::wait_write));
  }
}

/// One step of TLS, repeated until it has been made. Of the bytes that are coming, a part of one record may already be
/// here.
template <class Step>
Async<std::size_t> ByteStream::State::run(Step step, std::size_t coming) {
  using enum TlsSession::State;
  co_await take_turns();
  while (socket.is_open()) {  // or the descriptor may already be another's
    auto made = step(*tls);
    if (made.state == failed) co_return made.error;
    if (made.state == ended) co_return std::size_t{0};
    if (made.state == done) {
      in_turn += made.bytes;
      co_return made.bytes;
    }
    if (made.state == wants_read) wake_at(coming > kLargestRecord ? coming - kLargestRecord : 1);
    CO_CHECK(co_await wait(made.state == wants_read ? Socket::wait_read : Socket::wait_write));
  }
  co_return posix(ECANCELED);
}

ByteStream::ByteStream(asio::any_io_executor executor) : state_(std::make_unique<State>(std::move(executor))) {}
ByteStream::~ByteStream() = default;

Async<void> ByteStream::connect(SocketAddress to) {
  Socket::endpoint_type place;
  place.resize(to.size);
  std::memcpy(place.data(), to.bytes, to.size);
  state_->low_water = 1;
  error_code ec;
  co_await state_->socket.async_connect(place, asio::redirect_error(asio::use_awaitable, ec));
  if (ec) co_return code_of(ec);
  int on = 1;
  if (place.data()->sa_family != AF_UNIX)
    ::setsockopt(descriptor(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // a refusal costs speed only
  co_return Result<void>{};
}

Async<void> ByteStream::secure(std::shared_ptr<asio::ssl::context> tls, const std::string& host, std::string& why) {
  state_->context = std::move(tls);
  auto& session = state_->tls.emplace(*state_->context->native_handle(), descriptor(), host);
  auto shaken = co_await state_->run([](TlsSession& each) { return each.handshake(); });
  if (shaken) co_return Result<void>{};
  why = session.reason().empty() ? shaken.error().message() : session.reason();
  co_return shaken.error();
}

bool ByteStream::is_secure() const { return state_->tls.has_value(); }

Async<std::size_t> ByteStream::read_some(std::span<char> into, std::size_t coming) {
  if (!state_->tls) return state_->read_plain(into, coming);
  return state_->run([into](TlsSession& session) { return session.read(into); }, coming);
}

Async<std::size_t> ByteStream::write_some(std::span<const iovec> pieces) {
  if (!state_->tls) return state_->write_plain(pieces);
  const auto& first = pieces.front();
  std::span<const char> from(static_cast<const char*>(first.iov_base), std::min(first.iov_len, kEncryptedAtOnce));
  bool more = pieces.size() > 1 || from.size() < first.iov_len;
  return state_->run([from, more](TlsSession& session) { return session.write(from, more); });
}

Async<std::size_t> ByteStream::write_some(std::span<const char> from) {
  iovec only{const_cast<char*>(from.data()), from.size()};
  co_return co_await write_some(std::span<const iovec>(&only, 1));
}

void ByteStream::close() noexcept {
  error_code ignored;
  state_->socket.shutdown(Socket::shutdown_both, ignored);
  state_->socket.close(ignored);
}

void ByteStream::acknowledge_at_once() { state_->acknowledging = true; }

int ByteStream::descriptor() const { return state_->socket.native_handle(); }

Async<void> ByteStream::readable() {
  state_->wake_at(1);
  return state_->wait(Socket::wait_read);
}

int ByteStream::unread_bytes() const {
  int waiting = 0;
  return ::ioctl(descriptor(), FIONREAD, &waiting) == 0 ? waiting : 0;
}

}  // namespace kiseki::net
