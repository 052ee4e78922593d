// Commands out, replies in: the bytes on the wire, and what hostile bytes can do.
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "core/result.hpp"
#include "net/redis/command.hpp"
#include "net/redis/errc.hpp"
#include "net/redis/reply_reader.hpp"

namespace kiseki::net::redis {
namespace {

using Got = ReplyReader::Got;

std::string wire(const Command& command) {
  std::string out;
  command.append_to(out);
  return out;
}

TEST(RedisCommand, IsEncodedBinarySafe) {
  EXPECT_EQ(wire(Command("GET", "k")), "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
  using namespace std::string_literals;
  EXPECT_EQ(wire(Command("SET", "a\0\r\n"s, -17)), "*3\r\n$3\r\nSET\r\n$4\r\na\0\r\n\r\n$3\r\n-17\r\n"s);
  EXPECT_EQ(wire(Command("ECHO", "")), "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n");
}

TEST(RedisCommand, ScriptGoesByItsDigestOrByItsText) {
  Script script("return 1");
  EXPECT_EQ(script.sha(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
  auto command = Command::eval(script, {"k"}, {"a", "b"});
  EXPECT_EQ(wire(command),
            "*6\r\n$7\r\nEVALSHA\r\n$40\r\ne0e1f9fabfc9d4800c877a703b823ac0578ff8db\r\n$1\r\n1\r\n$1\r\nk\r\n"
            "$1\r\na\r\n$1\r\nb\r\n");
  std::string with_body;
  EXPECT_TRUE(command.append_with_body_to(with_body));
  EXPECT_EQ(with_body, "*6\r\n$4\r\nEVAL\r\n$8\r\nreturn 1\r\n$1\r\n1\r\n$1\r\nk\r\n$1\r\na\r\n$1\r\nb\r\n");
  EXPECT_FALSE(Command("GET", "k").append_with_body_to(with_body));
}

Reply parse(const std::string& bytes) {
  ReplyReader reader;
  EXPECT_TRUE(reader.feed(bytes));
  Reply reply;
  EXPECT_EQ(reader.next(reply), Got::reply) << reader.error();
  return reply;
}

TEST(RedisReply, EveryKind) {
  EXPECT_TRUE(parse("$-1\r\n").is_nil());
  EXPECT_TRUE(parse("*-1\r\n").is_nil());
  EXPECT_EQ(parse(":-42\r\n").integer, -42);
  EXPECT_EQ(parse("$4\r\na\r\nb\r\n").text, "a\r\nb");
  EXPECT_EQ(parse("+OK\r\n").kind, Reply::Kind::status);
  auto error = parse("-NOSCRIPT No matching script.\r\n");
  EXPECT_EQ(error.error_prefix(), "NOSCRIPT");
  EXPECT_TRUE(parse("*0\r\n").is_array());
  auto nested = parse("*3\r\n*2\r\n:1\r\n*1\r\n$1\r\nx\r\n$-1\r\n+y\r\n");
  ASSERT_EQ(nested.elements.size(), 3u);
  EXPECT_EQ(nested.elements[0].elements[1].elements[0].text, "x");
  EXPECT_TRUE(nested.elements[1].is_nil());
  EXPECT_EQ(nested.elements[2].text, "y");
}

TEST(RedisReply, ComesInPiecesOfAnySize) {
  const std::string bytes = "*2\r\n$5\r\nhello\r\n*1\r\n:7\r\n+OK\r\n$-1\r\n";
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    ReplyReader reader;
    std::vector<Reply> replies;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      ASSERT_TRUE(reader.feed(std::string_view(bytes).substr(at, piece)));
      Reply reply;
      while (reader.next(reply) == Got::reply) replies.push_back(std::move(reply));
    }
    ASSERT_EQ(replies.size(), 3u);
    EXPECT_EQ(replies[0].elements[0].text, "hello");
    EXPECT_EQ(replies[0].elements[1].elements[0].integer, 7);
  }
}

/// How a stream ends that begins like this: broken, or waiting for more within bounds.
Got verdict(const std::string& bytes, ReplyReader::Limits limits = {.bytes = 1 << 20, .elements = 1000}) {
  ReplyReader reader(limits);
  if (!reader.feed(bytes)) return Got::broken;
  Reply reply;
  auto got = reader.next(reply);
  while (got == Got::reply) got = reader.next(reply);
  return got;
}

TEST(RedisReply, HostileBytesAreRefusedOrBounded) {
  for (auto bytes : {"x", "?\r\n", "%1\r\n", ">1\r\n", "_\r\n", "$-2\r\n", "*-2\r\n", "$x\r\n", ":1x\r\n",
                     "*99999999999999999999\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
                     "$99999999999999999999999\r\n"}) {
    EXPECT_EQ(verdict(bytes), Got::broken) << bytes;
  }
  // Announced but not sent: we wait, and hold next to nothing.
  for (auto bytes : {"*2147483647\r\n", "$9223372036854775807\r\nabc", "*1000\r\n*1000\r\n*1000\r\n", "+no end"}) {
    EXPECT_EQ(verdict(bytes), Got::more) << bytes;
  }
  EXPECT_EQ(verdict(std::string(2 << 20, 'a').insert(0, "+")), Got::broken);  // a line that never ends
  std::string crowd = "*1000000\r\n";
  for (int i = 0; i < 2000; ++i) crowd += ":1\r\n";
  EXPECT_EQ(verdict(crowd), Got::broken);
}

TEST(RedisReply, AStreamThatBrokeStaysBroken) {
  ReplyReader reader;
  ASSERT_TRUE(reader.feed(std::string_view("garbage\r\n+OK\r\n")));
  Reply reply;
  EXPECT_EQ(reader.next(reply), Got::broken);
  EXPECT_EQ(reader.next(reply), Got::broken);
  EXPECT_FALSE(reader.feed(std::string_view("+OK\r\n")));
  EXPECT_FALSE(reader.error().empty());
}

Reply error(const char* text) { return {.kind = Reply::Kind::error, .text = text}; }

TEST(RedisErrors, SayWhetherTheCommandRan) {
  EXPECT_EQ(meaning_of(error("OOM command not allowed when used memory > 'maxmemory'.")), Errc::full);
  EXPECT_EQ(meaning_of(error("ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed")),
            Errc::full);
  EXPECT_EQ(meaning_of(error("READONLY You can't write against a read only replica.")), Errc::refused);
  EXPECT_EQ(meaning_of(error("LOADING Redis is loading the dataset in memory")), Errc::refused);
  EXPECT_EQ(meaning_of(error("ERR max number of clients reached")), Errc::refused);
  EXPECT_EQ(meaning_of(error("ERR Error running script: Script killed by user with SCRIPT KILL...")), Errc::refused);
  EXPECT_EQ(meaning_of(error("NOPERM this user has no permissions")), Errc::denied);
  EXPECT_FALSE(meaning_of(error("WRONGTYPE Operation against a key")));
  EXPECT_FALSE(meaning_of(Reply{.kind = Reply::Kind::bulk, .text = "OOM"}));
  for (auto sure : {Errc::unavailable, Errc::refused, Errc::full, Errc::denied, Errc::overloaded, Errc::closed}) {
    EXPECT_TRUE(certainly_not_executed(sure));
  }
  for (std::error_code unsure :
       {make_error_code(Errc::reply_lost), make_error_code(Errc::timed_out), posix(ECANCELED)}) {
    EXPECT_FALSE(certainly_not_executed(unsure));
  }
  EXPECT_EQ(to_errno(Errc::full), ENOSPC);
  EXPECT_EQ(to_errno(Errc::unavailable), ETIMEDOUT);
  EXPECT_EQ(to_errno(Errc::reply_lost), EIO);
}

}  // namespace
}  // namespace kiseki::net::redis
