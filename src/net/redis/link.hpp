#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "net/redis/command.hpp"
#include "net/redis/reply_reader.hpp"
#include "net/redis/stream.hpp"

namespace kiseki::net::redis {

/// One connection, asked one batch after another: for greetings, questions to Sentinels, subscriptions. Lives on one
/// loop. Nothing here is bounded in time: callers are.
class Link {
 public:
  explicit Link(std::unique_ptr<ByteStream> stream);
  /// Sends all, waits for as many replies.
  Async<Replies> ask(Commands commands);
  Async<Reply> ask_one(Command command);
  /// The next reply nobody asked for, or that `send` asked for. Errors: EPIPE at the end, EPROTO for bytes that are no
  /// RESP.
  Async<Reply> receive();
  Async<void> send(std::string bytes);

  ByteStream& stream() { return *stream_; }
  ReplyReader& reader() { return reader_; }
  /// Reads once from the stream into the reader. Errors: EPIPE at the end.
  Async<void> read_more();

 private:
  std::unique_ptr<ByteStream> stream_;
  ReplyReader reader_;
  std::vector<char> buffer_;
};

}  // namespace kiseki::net::redis
