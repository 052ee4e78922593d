#pragma once

#include <cstdint>
#include <string_view>

namespace kiseki::net::redis {

/// The slot of a Cluster, 0..16383, in which a key lives: CRC-16/XMODEM of the part between the first { and the next },
/// or of the whole key. Source: the Redis Cluster specification.
constexpr unsigned slot_of(std::string_view key) {
  auto open = key.find('{');
  if (open != key.npos) {
    auto close = key.find('}', open + 1);
    if (close != key.npos && close > open + 1) key = key.substr(open + 1, close - open - 1);
  }
  unsigned crc = 0;
  for (char c : key) {
    crc ^= static_cast<unsigned>(static_cast<unsigned char>(c)) << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 0x8000u) ? ((crc << 1) ^ 0x1021u) & 0xFFFFu : crc << 1;
  }
  return crc & 16383u;
}
static_assert(slot_of("123456789") == 12739);
static_assert(slot_of("{0}i1") == slot_of("{0}d1") && slot_of("{}a") != slot_of("{}b"));

}  // namespace kiseki::net::redis
