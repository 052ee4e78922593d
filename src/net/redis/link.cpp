#include "net/redis/link.hpp"

namespace kiseki::net::redis {
namespace {

constexpr std::size_t kReadBytes = std::size_t{64} << 10;

}  // namespace

Link::Link(std::unique_ptr<ByteStream> stream) : stream_(std::move(stream)), buffer_(kReadBytes) {}

Async<Replies> Link::ask(Commands commands) {
  std::string bytes;
  for (const auto& command : commands) command.append_to(bytes);
  CO_CHECK(co_await send(std::move(bytes)));
  Replies replies;
  while (replies.size() < commands.size()) {
    CO_TRY(auto reply, co_await receive());
    replies.push_back(std::move(reply));
  }
  co_return replies;
}

Async<Reply> Link::ask_one(Command command) {
  Commands commands;
  commands.push_back(std::move(command));
  CO_TRY(auto replies, co_await ask(std::move(commands)));
  co_return std::move(replies.front());
}

Async<Reply> Link::receive() {
  while (true) {
    Reply reply;
    auto got = reader_.next(reply);
    if (got == ReplyReader::Got::reply) co_return std::move(reply);
    if (got == ReplyReader::Got::broken) co_return posix(EPROTO);
    CO_CHECK(co_await read_more());
  }
}

Async<void> Link::send(std::string bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    CO_TRY(auto more, co_await stream_->write_some(std::span<const char>(bytes).subspan(sent)));
    sent += more;
  }
  co_return Result<void>{};
}

Async<void> Link::read_more() {
  CO_TRY(auto got, co_await stream_->read_some(buffer_));
  if (got == 0) co_return posix(EPIPE);
  if (!reader_.feed(std::span<const char>(buffer_).first(got))) co_return posix(EPROTO);
  co_return Result<void>{};
}

}  // namespace kiseki::net::redis
