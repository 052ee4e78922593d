#include "wire.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace nulls3 {

namespace {
constexpr std::size_t kPacedBytes = 256 << 10;  // moved at once where a pace is kept
constexpr std::size_t kMostAtOnce = 1 << 30;
constexpr int kSendBuffer = 8 << 20;  // a block leaves at once, without a switch to the client and back in the middle
}  // namespace

void Pace::spend(std::size_t bytes) {
  if (rate_ == 0) return;
  std::chrono::steady_clock::time_point until;
  {
    std::lock_guard lock(mutex_);
    auto takes = std::chrono::nanoseconds(bytes * 1'000'000'000 / rate_);
    until = free_at_ = std::max(free_at_, std::chrono::steady_clock::now()) + takes;
  }
  std::this_thread::sleep_until(until);
}

void Wire::FreeTls::operator()(ssl_st* tls) const { SSL_free(tls); }

Wire::Wire(int fd, ssl_ctx_st* tls, Pace& pace) : fd_(fd), tls_(tls ? SSL_new(tls) : nullptr), pace_(pace) {
  int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::setsockopt(fd_, SOL_SOCKET, SO_SNDBUFFORCE, &kSendBuffer, sizeof kSendBuffer) != 0)
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof kSendBuffer);
  if (!tls_) return;
  SSL_set_fd(tls_.get(), fd_);
  SSL_set_accept_state(tls_.get());
}

Wire::~Wire() { ::close(fd_); }

std::size_t Wire::receive(std::span<std::byte> into) {
  for (;;) {
    auto got = tls_ ? SSL_read(tls_.get(), into.data(), static_cast<int>(into.size()))
                    : static_cast<int>(::recv(fd_, into.data(), into.size(), 0));
    if (got > 0) {
      pace_.spend(static_cast<std::size_t>(got));
      return static_cast<std::size_t>(got);
    }
    if (tls_ || got == 0 || errno != EINTR) return 0;
  }
}

bool Wire::receive_all(std::span<std::byte> into) {
  while (!into.empty()) {
    auto got = receive(into.first(std::min(into.size(), std::size_t{1} << 20)));
    if (got == 0) return false;
    into = into.subspan(got);
  }
  return true;
}

bool Wire::discard(std::size_t bytes) {
  std::array<std::byte, 32 << 10> sink;
  while (bytes > 0) {
    auto step = std::min(bytes, tls_ ? sink.size() : std::size_t{1} << 20);
    auto got = tls_ ? SSL_read(tls_.get(), sink.data(), static_cast<int>(step))
                    : static_cast<int>(::recv(fd_, nullptr, step, MSG_TRUNC));
    if (got <= 0) return false;
    pace_.spend(static_cast<std::size_t>(got));
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

bool Wire::write(std::span<const std::byte> bytes, int flags) {
  while (!bytes.empty()) {
    auto step = pace_.limited() ? std::min(bytes.size(), kPacedBytes) : std::min(bytes.size(), kMostAtOnce);
    auto sent = tls_ ? SSL_write(tls_.get(), bytes.data(), static_cast<int>(step))
                     : static_cast<int>(::send(fd_, bytes.data(), step, MSG_NOSIGNAL | flags));
    if (sent <= 0) return false;
    pace_.spend(static_cast<std::size_t>(sent));
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
  return true;
}

bool Wire::send_all(std::string_view head, std::span<const std::byte> body) {
  return write(std::as_bytes(std::span(head)), body.empty() ? 0 : MSG_MORE) && write(body, 0);
}

ssl_ctx_st* tls_context(const char* certificate, const char* key) {
  auto* context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
  if (SSL_CTX_use_certificate_chain_file(context, certificate) == 1 &&
      SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1)
    return context;
  ERR_print_errors_fp(stderr);
  std::exit(1);
}

}  // namespace nulls3
