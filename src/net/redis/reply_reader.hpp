#pragma once

#include <memory>
#include <span>
#include <string>

#include "net/redis/reply.hpp"

namespace kiseki::net::redis {

/// Bytes of a server in, replies out. The server is a stranger: what it may make us hold is bounded, and bytes that are
/// not RESP2 end the stream with an error. One thread at a time.
class ReplyReader {
 public:
  struct Limits {
    std::size_t bytes = std::size_t{512} << 20;   ///< received and not yet part of a whole reply
    std::size_t elements = std::size_t{8} << 20;  ///< in one reply, at any depth
  };
  ReplyReader();
  explicit ReplyReader(Limits limits);
  ~ReplyReader();
  ReplyReader(const ReplyReader&) = delete;

  enum class Got { reply, more, broken };
  /// Takes bytes; false when the stream is broken.
  bool feed(std::span<const char> bytes);
  /// The next whole reply into `out`; `more`: bytes are missing; `broken`: this is no RESP2, and stays so.
  Got next(Reply& out);
  const std::string& error() const;  ///< why it is broken

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kiseki::net::redis
