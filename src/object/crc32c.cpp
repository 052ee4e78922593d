#include "object/crc32c.hpp"

#include <array>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace kiseki::object {

namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? 0x82F63B78u : 0);
    table[i] = crc;
  }
  return table;
}
constexpr auto kTable = make_table();

std::uint32_t portable(std::span<const std::byte> bytes, std::uint32_t crc) {
  for (auto byte : bytes) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<std::uint32_t>(byte)) & 0xFF];
  return crc;
}

#if defined(__x86_64__)
/// The instruction takes three cycles but a new one may begin each cycle: three lanes of this length run side by side.
constexpr std::size_t kLane = 4096;

/// What a CRC becomes when kLane zero bytes follow. CRCs are linear, so the bytes of the old one contribute apart.
class LaneShift {
 public:
  LaneShift() {
    for (unsigned bit = 0; bit < 32; ++bit) {
      std::uint32_t crc = 1u << bit;
      for (std::size_t i = 0; i < kLane; ++i) crc = (crc >> 8) ^ kTable[crc & 0xFF];
      for (unsigned value = 0; value < 256; ++value)
        if (value >> (bit % 8) & 1) of_byte_[bit / 8][value] ^= crc;
    }
  }
  std::uint32_t operator()(std::uint32_t crc) const {
    return of_byte_[0][crc & 0xFF] ^ of_byte_[1][crc >> 8 & 0xFF] ^ of_byte_[2][crc >> 16 & 0xFF] ^
           of_byte_[3][crc >> 24];
  }

 private:
  std::uint32_t of_byte_[4][256] = {};
};

inline std::uint64_t word_at(const std::byte* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, 8);
  return word;
}

__attribute__((target("sse4.2"))) std::uint32_t hardware(std::span<const std::byte> bytes, std::uint32_t crc) {
  static const LaneShift shift;
  std::uint64_t wide = crc;
  std::size_t at = 0;
  for (; at + 3 * kLane <= bytes.size(); at += 3 * kLane) {
    std::uint64_t second = 0, third = 0;
    for (const auto* p = bytes.data() + at; p < bytes.data() + at + kLane; p += 8) {
      wide = _mm_crc32_u64(wide, word_at(p));
      second = _mm_crc32_u64(second, word_at(p + kLane));
      third = _mm_crc32_u64(third, word_at(p + 2 * kLane));
    }
    wide = shift(static_cast<std::uint32_t>(wide)) ^ second;
    wide = shift(static_cast<std::uint32_t>(wide)) ^ third;
  }
  for (; at + 8 <= bytes.size(); at += 8) wide = _mm_crc32_u64(wide, word_at(bytes.data() + at));
  crc = static_cast<std::uint32_t>(wide);
  for (; at < bytes.size(); ++at) crc = _mm_crc32_u8(crc, static_cast<std::uint8_t>(bytes[at]));
  return crc;
}
#endif

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc) {
#if defined(__x86_64__)
  static const bool fast = __builtin_cpu_supports("sse4.2");
  if (fast) return ~hardware(bytes, ~crc);
#endif
  return ~portable(bytes, ~crc);
}

}  // namespace kiseki::object
