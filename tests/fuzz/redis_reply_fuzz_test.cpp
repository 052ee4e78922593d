// Hostile replies, the same ones every time: random bytes of RESP's alphabet, and honest replies bent a little.
#include "redis_reply_fuzz.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace {

constexpr int kRounds = 60'000;
constexpr std::string_view kAlphabet = "*$:+-\r\n0123456789abcOM \xff";

std::string random_bytes(std::mt19937_64& random) {
  std::string out(random() % 60, '\0');
  for (auto& c : out) c = kAlphabet[random() % kAlphabet.size()];
  return out;
}

void append_honest(std::mt19937_64& random, std::string& out, int depth) {
  switch (random() % (depth > 4 ? 5 : 6)) {
    case 0:
      out += ":" + std::to_string(static_cast<std::int64_t>(random())) + "\r\n";
      return;
    case 1:
      out += "$-1\r\n";
      return;
    case 2:
      out += "+OK\r\n";
      return;
    case 3:
      out += "-LOADING wait\r\n";
      return;
    case 4: {
      auto bytes = random_bytes(random);
      out += "$" + std::to_string(bytes.size()) + "\r\n" + bytes + "\r\n";
      return;
    }
    default: {
      auto count = random() % 5;
      out += "*" + std::to_string(count) + "\r\n";
      for (std::size_t i = 0; i < count; ++i) append_honest(random, out, depth + 1);
    }
  }
}

TEST(RedisReplyFuzz, RandomBytes) {
  std::mt19937_64 random(1);
  for (int i = 0; i < kRounds; ++i) fuzz_redis_reply(random_bytes(random));
}

TEST(RedisReplyFuzz, BentReplies) {
  std::mt19937_64 random(2);
  for (int i = 0; i < kRounds; ++i) {
    std::string bytes;
    append_honest(random, bytes, 0);
    for (auto bends = random() % 3; bends > 0 && !bytes.empty(); --bends) {
      auto at = random() % bytes.size();
      if (random() % 2 == 0) {
        bytes[at] = kAlphabet[random() % kAlphabet.size()];
      } else {
        bytes.erase(at, 1 + random() % 3);
      }
    }
    fuzz_redis_reply(bytes);
  }
}

}  // namespace
