#include "net/tls_session.hpp"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <stdexcept>

#include "core/result.hpp"
#include "net/net_error.hpp"

namespace kiseki::net {

/// What OpenSSL reads from and writes to: the descriptor, never waiting.
struct TlsWire {
  static TlsSession& of(BIO* bio) { return *static_cast<TlsSession*>(::BIO_get_data(bio)); }

  static int write(BIO* bio, const char* data, int size) {
    auto& session = of(bio);
    auto record = std::min<std::size_t>(session.unwritten_, SSL3_RT_MAX_PLAIN_LENGTH);
    bool more = session.unwritten_ > record || (session.unwritten_ > 0 && session.more_);
    auto sent =
        ::send(session.fd_, data, static_cast<std::size_t>(size), MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    BIO_clear_retry_flags(bio);
    if (sent < 0) put_off(bio, [bio] { BIO_set_retry_write(bio); });
    if (sent >= 0) session.unwritten_ -= record;
    return static_cast<int>(sent);
  }
  static int read(BIO* bio, char* data, int size) {
    auto got = ::recv(of(bio).fd_, data, static_cast<std::size_t>(size), MSG_DONTWAIT);
    BIO_clear_retry_flags(bio);
    if (got < 0) put_off(bio, [bio] { BIO_set_retry_read(bio); });
    if (got == 0) of(bio).cut_off_ = true;
    return static_cast<int>(got);
  }
  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static BIO_METHOD* method() {
    static BIO_METHOD* const made = [] {
      auto* method = ::BIO_meth_new(::BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "kiseki socket");
      ::BIO_meth_set_write(method, write);
      ::BIO_meth_set_read(method, read);
      ::BIO_meth_set_ctrl(method, control);
      return method;
    }();
    return made;
  }

 private:
  template <class Retry>
  static void put_off(BIO* bio, Retry retry) {
    if (errno == EAGAIN || errno == EINTR)
      retry();
    else
      of(bio).io_error_ = errno;
  }
};

namespace {

bool is_address(const std::string& host) {
  unsigned char bytes[sizeof(in6_addr)];
  return ::inet_pton(AF_INET, host.c_str(), bytes) == 1 || ::inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

int as_int(std::size_t size) { return static_cast<int>(std::min<std::size_t>(size, INT_MAX)); }

}  // namespace

TlsSession::TlsSession(SSL_CTX& context, int fd, const std::string& host)
    : fd_(fd), ssl_(::SSL_new(&context), ::SSL_free) {
  auto* bio = ::BIO_new(TlsWire::method());
  if (!ssl_ || !bio) throw std::bad_alloc();
  ::BIO_set_data(bio, this);
  ::BIO_set_init(bio, 1);
  ::SSL_set_bio(ssl_.get(), bio, bio);
  auto* wanted = ::SSL_get0_param(ssl_.get());
  if (is_address(host)) {
    ::X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str());
  } else {
    ::SSL_set_tlsext_host_name(ssl_.get(), host.c_str());
    ::X509_VERIFY_PARAM_set1_host(wanted, host.data(), host.size());
  }
  ::SSL_set_connect_state(ssl_.get());
}

TlsSession::~TlsSession() = default;

TlsSession::Step TlsSession::handshake() {
  ::ERR_clear_error();
  return judge(::SSL_do_handshake(ssl_.get()));
}

TlsSession::Step TlsSession::read(std::span<char> into) {
  ::ERR_clear_error();
  return judge(::SSL_read(ssl_.get(), into.data(), as_int(into.size())));
}

TlsSession::Step TlsSession::write(std::span<const char> from, bool more) {
  ::ERR_clear_error();
  if (unwritten_ == 0) unwritten_ = from.size();  // else it is the same again, and some records have left
  more_ = more;
  auto step = judge(::SSL_write(ssl_.get(), from.data(), as_int(from.size())));
  if (step.state == State::done) unwritten_ = 0;
  return step;
}

TlsSession::Step TlsSession::judge(int outcome) {
  if (outcome > 0) return {State::done, static_cast<std::size_t>(outcome)};
  switch (::SSL_get_error(ssl_.get(), outcome)) {
    case SSL_ERROR_WANT_READ:
      return {State::wants_read};
    case SSL_ERROR_WANT_WRITE:
      return {State::wants_write};
    case SSL_ERROR_ZERO_RETURN:
      return {State::ended};
    default:
      break;
  }
  if (io_error_ != 0) return fail(posix(io_error_), std::generic_category().message(io_error_));
  if (cut_off_) return fail(posix(ECONNRESET), "the connection was cut");
  if (auto verdict = ::SSL_get_verify_result(ssl_.get()); verdict != X509_V_OK && !::SSL_is_init_finished(ssl_.get()))
    return fail(NetErrc::untrusted, ::X509_verify_cert_error_string(verdict));
  auto* why = ::ERR_reason_error_string(::ERR_peek_error());
  return fail(NetErrc::tls_failed, why ? why : "unknown");
}

TlsSession::Step TlsSession::fail(std::error_code error, std::string reason) {
  reason_ = std::move(reason);
  return {State::failed, 0, error};
}

}  // namespace kiseki::net
