#pragma once

// Heavy: for .cpp files of net only.

#include <sys/uio.h>

#include <chrono>
#include <memory>

#include "core/result.hpp"
#include "net/byte_stream.hpp"
#include "net/http_message.hpp"
#include "net/http_timeouts.hpp"
#include "net/name_lookup.hpp"

namespace kiseki::net {

class HttpParser;

/// One connection to a server, on one loop. Its owner calls `check` now and then: that is what ends a wait that lasts
/// too long, and costs nothing per operation.
class HttpConnection {
 public:
  using SteadyClock = std::chrono::steady_clock;
  HttpConnection(asio::any_io_executor executor, const HttpTimeouts& timeouts);

  Async<void> connect(SocketAddress to, std::chrono::nanoseconds budget);
  /// After a failed `connect`: ready to try another address. False when the whole request is out of time.
  bool forgive();
  /// TLS with `host`, whose certificate is checked as the context says. Errors: NetErrc::untrusted, tls_failed.
  Async<void> secure(std::shared_ptr<asio::ssl::context> tls, std::string host);
  /// One request and its answer. `authority` and `request` must outlive the call.
  Async<HttpResponse> exchange(const HttpRequest& request, std::string_view authority);

  void limit_until(SteadyClock::time_point end) { end_ = end; }  ///< of what runs from now on
  void check(SteadyClock::time_point now);                       ///< ends what has waited too long
  bool silent() const { return !heard_; }                        ///< not a byte of the last answer was received
  bool timed_out() const { return timed_out_; }                  ///< `check` ended it
  bool reusable() const { return reusable_; }                    ///< the last exchange left it clean
  bool alive();                                                  ///< an idle one: the server has not closed it
  SteadyClock::time_point keep_until{};  ///< when an idle one ends; by the server's word or ours
  std::size_t place = 0;                 ///< in its pool's list of busy ones

 private:
  Async<std::size_t> read_some(std::span<char> into, std::size_t coming = 1);
  Async<void> write_all(std::span<iovec> pieces);
  Async<void> send_body(const HttpRequest& request, std::string_view head);
  Async<void> ask_first(std::string_view head, bool& answered);
  Async<HttpResponse> receive(const HttpRequest& request);
  Async<HttpResponse> receive_final(const HttpRequest& request);
  Async<void> receive_head(HttpParser& parser);
  Async<void> receive_body(HttpParser& parser, const HttpRequest& request, HttpResponse& response);
  Async<void> receive_sized(HttpParser& parser, std::uint64_t size, const HttpRequest& request, HttpResponse& response);
  Async<void> receive_parsed(HttpParser& parser);
  std::error_code error_of(std::error_code error) const { return timed_out_ ? posix(ETIMEDOUT) : error; }
  void begin_phase(std::chrono::nanoseconds budget) {
    phase_end_ = SteadyClock::now() + budget;
    moved_ = false;
  }

  const HttpTimeouts& timeouts_;
  ByteStream stream_;
  std::string head_;      // of the request
  std::vector<char> in_;  // received, not yet understood: [in_at_, in_end_)
  std::size_t in_at_ = 0, in_end_ = 0;
  SteadyClock::time_point phase_end_ = SteadyClock::time_point::max(), end_ = SteadyClock::time_point::max();
  bool moved_ = false;    // bytes went in or out since the last check: a stall begins anew
  bool in_body_ = false;  // a wait may then last for many bytes
  int unread_ = 0;        // bytes, at the last check
  bool heard_ = false, timed_out_ = false, reusable_ = false;
};

}  // namespace kiseki::net
