#include "net/redis/stream.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <boost/asio/this_coro.hpp>
#include <cstring>

#include "net/net_error.hpp"
#include "net/tls_client.hpp"

namespace kiseki::net::redis {

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

std::error_code as_errno(std::error_code error) { return error.category() == net_category() ? posix(EPROTO) : error; }

Async<std::vector<SocketAddress>> places_of(Endpoint to, NameLookup& names) {
  if (to.path.empty()) co_return co_await names.find(to.host, to.port);
  sockaddr_un place{};
  if (to.path.size() >= sizeof place.sun_path) co_return posix(ENAMETOOLONG);
  place.sun_family = AF_UNIX;
  std::memcpy(place.sun_path, to.path.data(), to.path.size());
  SocketAddress only;
  static_assert(sizeof place <= sizeof only.bytes);
  std::memcpy(only.bytes, &place, sizeof place);
  only.size = sizeof place;
  co_return std::vector<SocketAddress>(1, only);
}

/// A peer that is gone is noticed within about ten seconds, idle or not.
void keep_alive(int fd) {
  auto set = [fd](int level, int option, int value) { ::setsockopt(fd, level, option, &value, sizeof value); };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 5);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 2);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 10'000);
}

Async<std::unique_ptr<ByteStream>> connect_any(Endpoint to, NameLookup& names) {
  CO_TRY(auto places, co_await places_of(to, names));
  auto here = co_await asio::this_coro::executor;
  std::error_code last = posix(EHOSTUNREACH);
  for (const auto& place : places) {
    auto stream = std::make_unique<ByteStream>(here);
    auto connected = co_await stream->connect(place);
    if (connected) {
      if (to.path.empty()) keep_alive(stream->descriptor());
      co_return std::move(stream);
    }
    last = connected.error();
  }
  names.forget(to.host);
  co_return last;
}

}  // namespace

Async<std::unique_ptr<ByteStream>> connect_stream(Endpoint to, std::shared_ptr<const TlsContext> tls, NameLookup& names,
                                                  std::string& why) {
  auto stream = co_await connect_any(to, names);
  if (!stream) {
    why = stream.error().message();
    co_return as_errno(stream.error());
  }
  if (tls) {
    auto name = tls->server_name.empty() ? to.host : tls->server_name;
    auto secured = co_await (*stream)->secure(tls->context, name, why);
    if (!secured && secured.error() == posix(ECANCELED)) why = "no answer under TLS; is it plain redis:// there?";
    if (!secured) co_return as_errno(secured.error());
  }
  co_return std::move(*stream);
}

}  // namespace kiseki::net::redis
