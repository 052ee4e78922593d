#pragma once

// Heavy: for .cpp files of net only.

#include <boost/beast/http/basic_parser.hpp>
#include <cstring>

#include "net/http_message.hpp"

namespace kiseki::net {

/// Reads one answer: status and fields into `response`, and those parts of the body that are given to it.
class HttpParser final : public boost::beast::http::basic_parser<false> {
 public:
  HttpParser(HttpResponse& response, const HttpRequest& request) : response_(response), request_(request) {
    header_limit(kMaxHeader);
    body_limit(boost::none);  // `take` bounds it
    if (request.method == "HEAD" || request.method == "CONNECT") skip(true);
  }
  static constexpr std::uint32_t kMaxHeader = 32 << 10;

  /// Whether the body goes straight to the caller's memory.
  bool direct() const { return response_.ok() && !request_.into.empty(); }

  /// Puts a part of the body where it belongs. False when it is more than there may be.
  bool take(std::string_view part) {
    if (direct()) {
      if (part.size() > request_.into.size() - response_.size) return false;
      std::memcpy(request_.into.data() + response_.size, part.data(), part.size());
      grow(part.size());
      return true;
    }
    if (part.size() > request_.text_limit - response_.text.size()) return false;
    response_.text.append(part);
    return true;
  }

  /// So many more bytes lie where `direct` bodies go.
  void grow(std::size_t bytes) {
    auto part = std::span<const std::byte>(request_.into).subspan(response_.size, bytes);
    response_.size += bytes;
    if (request_.arrived && bytes > 0) request_.arrived(response_, part);
  }

 private:
  using View = boost::beast::string_view;
  using Code = boost::beast::error_code;
  static std::string_view std_view(View v) { return {v.data(), v.size()}; }
  std::size_t take_or_fail(View part, Code& ec) {
    if (!take(std_view(part))) ec = boost::beast::http::error::body_limit;
    return part.size();
  }
  void on_request_impl(boost::beast::http::verb, View, View, int, Code&) override {}
  void on_response_impl(int status, View, int, Code&) override { response_.status = status; }
  void on_field_impl(boost::beast::http::field, View name, View value, Code&) override {
    response_.fields.add(std_view(name), std_view(value));
  }
  void on_header_impl(Code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, Code&) override {}
  std::size_t on_body_impl(View part, Code& ec) override { return take_or_fail(part, ec); }
  void on_chunk_header_impl(std::uint64_t, View, Code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, View part, Code& ec) override { return take_or_fail(part, ec); }
  void on_finish_impl(Code&) override {}

  HttpResponse& response_;
  const HttpRequest& request_;
};

}  // namespace kiseki::net
