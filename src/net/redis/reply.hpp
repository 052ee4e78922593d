#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kiseki::net::redis {

/// What a server answered to one command. Owns its bytes.
struct Reply {
  enum class Kind : std::uint8_t {
    nil,
    integer,  ///< `integer`
    bulk,     ///< `text`: any bytes
    status,   ///< `text`: "OK", "QUEUED"
    error,    ///< `text`: the prefix, a blank and the server's sentence
    array,    ///< `elements`
  };

  Kind kind = Kind::nil;
  std::int64_t integer = 0;
  std::string text{};
  std::vector<Reply> elements{};

  bool is_nil() const { return kind == Kind::nil; }
  bool is_integer() const { return kind == Kind::integer; }
  bool is_error() const { return kind == Kind::error; }
  bool is_array() const { return kind == Kind::array; }
  bool is_text() const { return kind == Kind::bulk || kind == Kind::status; }
  /// The first word of an error ("NOSCRIPT", "OOM", "WRONGTYPE"); empty when this is none.
  std::string_view error_prefix() const {
    return is_error() ? std::string_view(text).substr(0, text.find(' ')) : std::string_view();
  }
};

using Replies = std::vector<Reply>;

}  // namespace kiseki::net::redis
