#include "net/metrics_server.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <cstring>
#include <optional>

#include "core/async.hpp"
#include "core/log.hpp"
#include "core/metrics.hpp"
#include "core/numbers.hpp"

namespace kiseki::net {
namespace {

namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::size_t kMaxConnections = 32;
constexpr auto kDeadline = std::chrono::seconds(30);
constexpr std::uint32_t kMaxHeaderBytes = 8192;

struct HostPort {
  std::string host;  // empty: every address
  std::string port;
};

/// "HOST:PORT", ":PORT", "[IPV6]:PORT".
std::optional<HostPort> split(std::string_view text) {
  auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  auto host = text.substr(0, colon), port = text.substr(colon + 1);
  if (!whole_number<std::uint16_t>(port)) return std::nullopt;
  auto bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (!bracketed && host.find(':') != std::string_view::npos) return std::nullopt;
  return HostPort{std::string(host), std::string(port)};
}

Result<tcp::endpoint> resolve(const HostPort& where) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  auto failed = ::getaddrinfo(where.host.empty() ? nullptr : where.host.c_str(), where.port.c_str(), &hints, &found);
  if (failed != 0 || !found) return posix(EADDRNOTAVAIL);
  tcp::endpoint endpoint;
  endpoint.resize(found->ai_addrlen);
  std::memcpy(endpoint.data(), found->ai_addr, found->ai_addrlen);
  ::freeaddrinfo(found);
  return endpoint;
}

Result<void> listen_on(tcp::acceptor& acceptor, const tcp::endpoint& endpoint) {
  error_code ec;
  acceptor.open(endpoint.protocol(), ec);
  if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) acceptor.bind(endpoint, ec);
  if (!ec) acceptor.listen(2 * kMaxConnections, ec);
  if (!ec) return {};
  error_code ignored;
  acceptor.close(ignored);
  return posix(ec.value());
}

std::string reply_text(http::status status, std::string_view type, std::string_view body, bool keep, bool head) {
  auto text = fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {}\r\n\r\n",
                          static_cast<unsigned>(status), std::string(http::obsolete_reason(status)), type, body.size(),
                          keep ? "keep-alive" : "close");
  if (!head) text += body;
  return text;
}

/// One client. Its functions run one after another, on the server's loop.
class Connection {
 public:
  Connection(tcp::socket socket, Runtime& runtime) : socket_(std::move(socket)), runtime_(runtime) {}

  asio::awaitable<void> run() {
    while (true) {
      auto next = co_await with_timeout(kDeadline, serve_one());
      if (!next || *next == Next::close) co_return;
    }
  }

 private:
  enum class Next { keep, close };

  Async<Next> serve_one() {
    http::request_parser<http::empty_body> parser;
    parser.header_limit(kMaxHeaderBytes);
    CO_TRY(auto whole, co_await read_request(parser));
    if (whole == Read::gone) co_return Next::close;
    auto text = whole == Read::malformed
                    ? reply_text(http::status::bad_request, "text/plain", "bad request\n", false, false)
                    : co_await answer(parser.get());
    error_code ec;
    co_await asio::async_write(socket_, asio::buffer(text), asio::redirect_error(asio::use_awaitable, ec));
    co_return !ec && whole == Read::whole && parser.get().keep_alive() ? Next::keep : Next::close;
  }

  enum class Read { whole, malformed, gone };

  Async<Read> read_request(http::request_parser<http::empty_body>& parser) {
    while (true) {
      error_code ec;
      pending_.erase(0, parser.put(asio::buffer(pending_), ec));
      if (parser.is_done()) co_return Read::whole;
      if (ec && ec != http::error::need_more) co_return Read::malformed;
      auto had = pending_.size();
      if (had > kMaxHeaderBytes) co_return Read::malformed;
      pending_.resize(had + 2048);
      auto got = co_await socket_.async_read_some(asio::buffer(pending_.data() + had, 2048),
                                                  asio::redirect_error(asio::use_awaitable, ec));
      pending_.resize(had + got);
      if (ec) co_return Read::gone;
    }
  }

  asio::awaitable<std::string> answer(const http::request<http::empty_body>& request) {
    auto target = request.target();
    std::string path(target.substr(0, target.find('?')));
    auto head = request.method() == http::verb::head;
    auto keep = request.keep_alive();
    if (path != "/metrics" && path != "/healthz") {
      co_return reply_text(http::status::not_found, "text/plain", "not found: see /metrics\n", keep, head);
    }
    if (!head && request.method() != http::verb::get) {
      co_return reply_text(http::status::method_not_allowed, "text/plain", "only GET\n", keep, false);
    }
    if (path == "/healthz") co_return reply_text(http::status::ok, "text/plain", "ok\n", keep, head);
    // Reads /proc and formats some hundred lines: off the loop.
    auto job = []() -> Result<std::string> { return metrics::metrics_text(); };
    auto page = co_await run_blocking(runtime_.pool("metrics", 1), job);
    co_return reply_text(http::status::ok, "text/plain; version=0.0.4; charset=utf-8", *page, keep, head);
  }

  tcp::socket socket_;
  Runtime& runtime_;
  std::string pending_;
};

}  // namespace

struct MetricsServer::State {
  explicit State(Runtime& r)
      : runtime(r), home(r.executor(0)), acceptor(home), free_places(kMaxConnections), tasks(home) {}
  asio::awaitable<void> accept_loop();
  asio::awaitable<void> accept_when_free(tcp::endpoint endpoint);
  asio::awaitable<void> serve(tcp::socket socket, Semaphore::Permit place);

  Runtime& runtime;
  asio::any_io_executor home;
  tcp::acceptor acceptor;
  Semaphore free_places;
  std::string address;
  TaskGroup tasks;
};

asio::awaitable<void> MetricsServer::State::accept_loop() {
  while (true) {
    auto place = co_await free_places.acquire();
    error_code ec;
    auto socket = co_await acceptor.async_accept(asio::redirect_error(asio::use_awaitable, ec));
    if (ec == asio::error::operation_aborted) co_return;
    if (ec) {  // no descriptors left, most likely: wait for better times
      log::warn("metrics_server.accept", {{"error", ec.message()}});
      co_await sleep_for(std::chrono::milliseconds(200));
      continue;
    }
    tasks.spawn(serve(std::move(socket), std::move(place)));
  }
}

asio::awaitable<void> MetricsServer::State::accept_when_free(tcp::endpoint endpoint) {
  constexpr auto kPause = std::chrono::milliseconds(100);
  Result<void> listening = posix(EADDRINUSE);
  for (int tries = 0; tries < 100 && !listening; ++tries) {
    co_await sleep_for(kPause);
    listening = listen_on(acceptor, endpoint);
  }
  if (listening) co_return co_await accept_loop();
  log::error("metrics_server.not_listening", {{"address", address}, {"why", listening.error()}});
}

asio::awaitable<void> MetricsServer::State::serve(tcp::socket socket, Semaphore::Permit place) {
  auto held = std::move(place);
  Connection connection(std::move(socket), runtime);
  co_await connection.run();
}

MetricsServer::MetricsServer(Runtime& runtime) : state_(std::make_unique<State>(runtime)) {}

MetricsServer::~MetricsServer() = default;

Result<std::uint16_t> MetricsServer::start(std::string_view host_port, IfBusy if_busy) {
  auto where = split(host_port);
  if (!where) return posix(EINVAL);
  TRY(auto endpoint, resolve(*where));
  auto& acceptor = state_->acceptor;
  auto listening = listen_on(acceptor, endpoint);
  if (!listening && listening.error() == posix(EADDRINUSE) && if_busy == IfBusy::any_port) {
    endpoint.port(0);
    listening = listen_on(acceptor, endpoint);
  }
  bool later = !listening && listening.error() == posix(EADDRINUSE) && if_busy == IfBusy::wait;
  if (!listening && !later) return listening.error();
  auto local = later ? endpoint : acceptor.local_endpoint();
  auto v6 = local.address().is_v6();
  state_->address = fmt::format("{}{}{}:{}", v6 ? "[" : "", local.address().to_string(), v6 ? "]" : "", local.port());
  state_->tasks.spawn(later ? state_->accept_when_free(endpoint) : state_->accept_loop());
  return local.port();
}

const std::string& MetricsServer::address() const { return state_->address; }

asio::awaitable<void> MetricsServer::close() {
  co_await state_->tasks.close();
  // The acceptor belongs to its loop.
  auto shut = [](State& state) -> Async<void> {
    error_code ignored;
    state.acceptor.close(ignored);
    co_return Result<void>{};
  };
  auto done = co_await on(state_->home, shut(*state_));
  if (!done) log::warn("metrics_server.close", {{"error", done.error()}});
}

}  // namespace kiseki::net
