#include "object/crc32c.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace kiseki::object {
namespace {

std::uint32_t of(std::string_view text, std::uint32_t crc = 0) { return crc32c(std::as_bytes(std::span(text)), crc); }

TEST(Crc32c, IsCastagnolis) {
  EXPECT_EQ(of(""), 0u);
  EXPECT_EQ(of("hello"), 2591144780u);  // what JuiceFS stores for it
  EXPECT_EQ(of("123456789"), 0xE3069283u);
  EXPECT_EQ(of(std::string(32, '\0')), 0x8A9136AAu);  // RFC 3720 B.4
}

/// Byte by byte takes another way through the code than long stretches do.
TEST(Crc32c, OfTheWholeIsThatOfItsParts) {
  std::mt19937 random(5);
  std::string text(50'000, '\0');
  for (auto& c : text) c = static_cast<char>(random());
  for (std::size_t size :
       std::initializer_list<std::size_t>{1, 7, 8, 9, 4095, 4096, 12'287, 12'288, 12'289, 24'576, 24'583, 50'000}) {
    auto part = std::string_view(text).substr(random() % (text.size() - size + 1), size);
    std::uint32_t slowly = 0;
    for (std::size_t i = 0; i < size; ++i) slowly = of(part.substr(i, 1), slowly);
    EXPECT_EQ(of(part), slowly) << size;
    auto cut = random() % (size + 1);
    EXPECT_EQ(of(part.substr(cut), of(part.substr(0, cut))), slowly) << size << " cut at " << cut;
  }
}

}  // namespace
}  // namespace kiseki::object
