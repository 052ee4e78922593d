#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "net/http_message.hpp"
#include "object/store.hpp"

namespace kiseki::object::s3 {

/// Why a server said no: its own words, and what they mean to us.
struct Refusal {
  int status = 0;
  std::string code, message, request_id;
  std::string region;  ///< where the bucket is, if it says so
  std::error_code error;
};
/// Of an answer that is not 2xx.
Refusal refusal_of(const net::HttpResponse& response);
/// What a code of S3 means to us, if it says more than "no"; else bad_request.
std::error_code meaning_of(std::string_view code);
/// What a failure below HTTP means for an object.
std::error_code object_error_of(std::error_code net_error);

/// "Sun, 06 Nov 1994 08:49:37 GMT" in seconds since 1970.
std::optional<std::int64_t> http_date(std::string_view text);
/// "2009-10-12T17:50:30.000Z"
std::optional<std::int64_t> iso_date(std::string_view text);

/// "bytes 0-9/443": the part that was sent, and the size of the whole, 0 when it is not said.
struct ContentRange {
  std::uint64_t begin = 0, end = 0, total = 0;
};
std::optional<ContentRange> content_range(std::string_view text);

}  // namespace kiseki::object::s3
