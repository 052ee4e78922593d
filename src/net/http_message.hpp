#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kiseki::net {

/// Field lines of a message, in order. Names are compared without regard to case.
class HttpFields {
 public:
  void add(std::string_view name, std::string_view value);
  /// The first field of that name; empty when there is none.
  std::string_view find(std::string_view name) const;
  bool has(std::string_view name) const;
  /// "Name: value\r\n" of each.
  const std::string& lines() const { return text_; }

 private:
  struct Entry {
    std::uint32_t name, name_size, value, value_size;  // into text_
  };
  std::string_view name_of(const Entry& e) const { return std::string_view(text_).substr(e.name, e.name_size); }
  std::string text_;
  std::vector<Entry> entries_;
};

struct HttpResponse;

/// One request. The memory under `body` and `into` is the caller's and must outlive the call.
struct HttpRequest {
  std::string method = "GET";
  std::string target = "/";                      ///< path and query, encoded
  HttpFields fields;                             ///< without Host, Content-Length and Connection, which the client adds
  std::vector<std::span<const std::byte>> body;  ///< sent in order, gathered from where it lies
  std::span<std::byte> into;                     ///< where the body of a 2xx answer goes, if not into text
  /// Told of each part of `into` as it fills, in order, while it is still in the processor's caches.
  std::function<void(const HttpResponse&, std::span<const std::byte>)> arrived;
  std::size_t text_limit = 1 << 20;  ///< bytes of an answer that may go into text; more is an error
  bool expect_continue = false;      ///< asks before it sends the body
  std::chrono::nanoseconds limit{};  ///< of the whole request; 0: none

  std::size_t body_size() const;
};

struct HttpResponse {
  int status = 0;
  HttpFields fields;
  std::size_t size = 0;  ///< bytes in the request's `into`
  std::string text;      ///< the body, when it did not go there
  bool ok() const { return status >= 200 && status < 300; }
};

/// Who is spoken to.
struct HttpEndpoint {
  bool tls = false;
  std::string host;  ///< a name or an address, without brackets
  std::uint16_t port = 80;
  bool default_port() const { return port == (tls ? 443 : 80); }
  std::string authority() const;  ///< as the Host field has it
  friend bool operator==(const HttpEndpoint&, const HttpEndpoint&) = default;
};

/// "http://HOST[:PORT]/path?query", taken apart.
struct HttpUrl {
  HttpEndpoint endpoint;
  std::string user_info;     ///< before '@', still encoded
  std::string target = "/";  ///< path and query
  /// Nothing when it is no http or https URL.
  static std::optional<HttpUrl> parse(std::string_view text);
};

bool equal_ignoring_case(std::string_view a, std::string_view b);

}  // namespace kiseki::net
