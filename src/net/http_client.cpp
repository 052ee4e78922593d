#include "net/http_client.hpp"

#include <boost/asio/execution/context.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/this_coro.hpp>
#include <charconv>
#include <map>
#include <mutex>

#include "core/async.hpp"
#include "core/log.hpp"
#include "net/http_pool.hpp"
#include "net/net_error.hpp"
#include "net/text_coding.hpp"

namespace kiseki::net {

namespace {

using SteadyClock = std::chrono::steady_clock;

/// One address that leads nowhere must not use up the time of those after it.
constexpr auto kImpatience = std::chrono::milliseconds(2000);

/// How long a server says it keeps a connection ("Keep-Alive: timeout=5"), less a second so that we close first.
std::chrono::milliseconds keep_time(const HttpResponse& response, std::chrono::milliseconds ours) {
  auto field = response.fields.find("keep-alive");
  auto at = field.find("timeout=");
  if (at == std::string_view::npos) return ours;
  unsigned seconds = 0;
  std::from_chars(field.data() + at + 8, field.data() + field.size(), seconds);
  return std::min(ours, std::chrono::milliseconds(seconds > 1 ? (seconds - 1) * 1000 : 0));
}

}  // namespace

struct HttpClient::State {
  State(HttpEndpoint s, Options o, BlockingPool& pool)
      : server(std::move(s)), options(std::move(o)), names(pool), authority(server.authority()) {
    if (!server.tls) return;
    auto made = make_tls_context(options.tls);
    tls = std::move(made.context);
    unusable = std::move(made.error);
  }

  std::shared_ptr<HttpPool> pool_of(const asio::any_io_executor& here);
  Async<void> connect(HttpConnection& connection, SteadyClock::time_point end);
  Async<void> connect_any(HttpConnection& connection, std::string host, std::uint16_t port,
                          SteadyClock::time_point end);
  Async<void> tunnel(HttpConnection& connection);
  void ask_proxy(HttpRequest& request) const;

  HttpEndpoint server;
  Options options;
  NameLookup names;
  std::string authority, unusable;
  std::shared_ptr<asio::ssl::context> tls;
  std::mutex mutex;  // guards pools
  std::map<asio::execution_context*, std::shared_ptr<HttpPool>> pools;
};

std::shared_ptr<HttpPool> HttpClient::State::pool_of(const asio::any_io_executor& here) {
  auto& loop = asio::query(here, asio::execution::context);
  std::lock_guard lock(mutex);
  auto& pool = pools[&loop];
  if (!pool || pool->is_shut_down()) {
    pool = std::make_shared<HttpPool>(here, options.timeouts, options.most_idle);
    asio::use_service<HttpPoolKeeper>(loop).watch(pool);
  }
  return pool;
}

/// Tries the addresses of a name in turn. The connection minds the end of the request, once it is connecting.
Async<void> HttpClient::State::connect_any(HttpConnection& connection, std::string host, std::uint16_t port,
                                           SteadyClock::time_point end) {
  auto question = names.find(host, port);
  auto patience = std::min<SteadyClock::duration>(options.timeouts.connect, end - SteadyClock::now());
  CO_TRY(auto addresses, co_await with_timeout(patience, std::move(question)));
  std::error_code last = NetErrc::unknown_host;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    auto budget = i + 1 < addresses.size() ? std::min(kImpatience, options.timeouts.connect) : options.timeouts.connect;
    auto connected = co_await connection.connect(addresses[i], budget);
    if (connected) co_return Result<void>{};
    last = connected.error();
    if (last == posix(ECANCELED) || !connection.forgive()) co_return last;
  }
  names.forget(host);
  co_return last;
}

Async<void> HttpClient::State::connect(HttpConnection& connection, SteadyClock::time_point end) {
  if (!options.proxy) {
    CO_CHECK(co_await connect_any(connection, server.host, server.port, end));
  } else {
    const auto& by = options.proxy->endpoint;
    CO_CHECK(co_await connect_any(connection, by.host, by.port, end));
    if (server.tls) CO_CHECK(co_await tunnel(connection));
  }
  if (server.tls) CO_CHECK(co_await connection.secure(tls, server.host));
  co_return Result<void>{};
}

/// Asks the proxy for a connection through it.
Async<void> HttpClient::State::tunnel(HttpConnection& connection) {
  HttpRequest request;
  request.method = "CONNECT";
  auto host = server.host.find(':') == std::string::npos ? server.host : "[" + server.host + "]";
  request.target = host + ":" + std::to_string(server.port);
  ask_proxy(request);
  CO_TRY(auto response, co_await connection.exchange(request, request.target));
  if (response.ok()) co_return Result<void>{};
  log::warn("http.proxy", {{"proxy", options.proxy->endpoint.authority()}, {"status", response.status}});
  co_return NetErrc::proxy_refused;
}

void HttpClient::State::ask_proxy(HttpRequest& request) const {
  const auto& user = options.proxy->user_info;
  if (!user.empty()) request.fields.add("Proxy-Authorization", "Basic " + to_base64(percent_decoded(user)));
}

HttpClient::HttpClient(HttpEndpoint server, Options options, BlockingPool& pool)
    : state_(std::make_unique<State>(std::move(server), std::move(options), pool)) {}

HttpClient::~HttpClient() = default;
const std::string& HttpClient::unusable() const { return state_->unusable; }
const HttpEndpoint& HttpClient::server() const { return state_->server; }

Async<HttpResponse> HttpClient::send(HttpRequest request) {
  auto& state = *state_;
  if (!state.unusable.empty()) co_return posix(EINVAL);
  auto end = request.limit.count() > 0 ? SteadyClock::now() + request.limit : SteadyClock::time_point::max();
  if (state.options.proxy && !state.server.tls) {
    request.target = "http://" + state.authority + request.target;
    state.ask_proxy(request);
  }
  auto pool = state.pool_of(co_await asio::this_coro::executor);
  for (bool again = false;; again = true) {
    auto lease = again ? HttpPool::Lease() : pool->take_idle();
    bool used = static_cast<bool>(lease);
    if (!used) lease = pool->fresh();
    lease->limit_until(end);
    if (!used) CO_CHECK(co_await state.connect(*lease.operator->(), end));
    auto response = co_await lease->exchange(request, state.authority);
    if (response && lease->reusable()) lease.give_back(keep_time(*response, state.options.timeouts.idle));
    if (response) co_return response;
    bool died_idle = used && lease->silent() && !lease->timed_out() && response.error() != posix(ECANCELED);
    if (!died_idle) co_return response;
  }
}

}  // namespace kiseki::net
