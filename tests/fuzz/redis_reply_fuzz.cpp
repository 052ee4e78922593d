#include "redis_reply_fuzz.hpp"

#include <algorithm>
#include <cstdlib>

#include "net/redis/errc.hpp"
#include "net/redis/reply_reader.hpp"

namespace {

using namespace kiseki::net::redis;

std::uint64_t touch(const Reply& reply) {
  auto sum = static_cast<std::uint64_t>(reply.integer) + static_cast<std::uint64_t>(meaning_of(reply).value());
  for (char c : reply.text) sum = sum * 31 + static_cast<unsigned char>(c);
  for (const auto& element : reply.elements) sum = sum * 31 + touch(element);
  return sum;
}

std::uint64_t read_all(std::span<const char> input, std::size_t piece) {
  ReplyReader reader({.bytes = 1 << 16, .elements = 4096});
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at < input.size(); at += piece) {
    if (!reader.feed(input.subspan(at, std::min(piece, input.size() - at)))) break;
    Reply reply;
    while (reader.next(reply) == ReplyReader::Got::reply) sum = sum * 31 + touch(reply);
  }
  return sum;
}

}  // namespace

std::uint64_t fuzz_redis_reply(std::span<const char> input) {
  auto whole = read_all(input, std::max<std::size_t>(input.size(), 1));
  for (auto piece : {std::size_t{1}, std::size_t{7}}) {
    if (read_all(input, piece) != whole) std::abort();  // how bytes are cut must not change what they say
  }
  return whole;
}

#ifdef KISEKI_LIBFUZZER
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz_redis_reply({reinterpret_cast<const char*>(data), size});
  return 0;
}
#endif
