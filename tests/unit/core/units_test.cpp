#include "core/units.hpp"

#include <gtest/gtest.h>

#include "core/numbers.hpp"

namespace kiseki::units {
namespace {

using namespace std::chrono_literals;

TEST(Units, Sizes) {
  struct Row {
    std::string_view text;
    std::uint64_t unit, want;
  };
  for (auto [text, unit, want] : std::initializer_list<Row>{
           {"0", 1, 0},
           {"1", 1, 1},
           {"300", kMiB, 300 * kMiB},
           {"4M", kKiB, 4 * kMiB},
           {"4m", kKiB, 4 * kMiB},
           {"7B", kGiB, 7},
           {"1.5G", 1, 3 * kGiB / 2},
           {"0.7k", 1, 716},
           {".5", kMiB, kMiB / 2},
           {"1.", kMiB, kMiB},
           {"1.999B", 1, 1},
           {"2T", 1, 2 * kTiB},
           {"1P", 1, 1024 * kTiB},
           {"7E", 1, 7 * 1024 * 1024 * kTiB},
           {"9007199254740993", 1, 9007199254740993},  // not a double
       }) {
    auto got = parse_size(text, unit);
    ASSERT_TRUE(got) << text << ": " << got.error();
    EXPECT_EQ(*got, want) << text;
  }
  for (auto text : {"", "M", "-1", "+1", "1 M", " 1", "1MB", "1b", "1X", "1e3", "0x10", ".", "1..2", "8E",
                    "99999999999999999999", "9e", "NaN", "1,5G"}) {
    auto got = parse_size(text, kMiB);
    EXPECT_FALSE(got) << text;
  }
  EXPECT_NE(parse_size("x", kMiB).error().find("counts MiB"), std::string::npos);
  EXPECT_NE(parse_size("12Q").error().find("\"12Q\""), std::string::npos);
}

TEST(Units, Durations) {
  struct Row {
    std::string_view text;
    std::chrono::nanoseconds want;
  };
  for (auto [text, want] : std::initializer_list<Row>{{"0", 0ns},
                                                      {"1", 1s},
                                                      {"1.5", 1500ms},
                                                      {"0.000001", 1us},
                                                      {"100ms", 100ms},
                                                      {"1h30m", 90min},
                                                      {"2h0m0s", 2h},
                                                      {"1.0s", 1s},
                                                      {"7d", 168h},
                                                      {"1d12h", 36h},
                                                      {"0.5d", 12h},
                                                      {"1.5h", 90min},
                                                      {"3us", 3us},
                                                      {"3\u00B5s", 3us},
                                                      {"3\u03BCs", 3us},
                                                      {"10ns", 10ns}}) {
    auto got = parse_duration(text);
    ASSERT_TRUE(got) << text << ": " << got.error();
    EXPECT_EQ(*got, want) << text;
  }
  for (auto text :
       {"", "-1s", "s", "1x", "1h30", "30 s", "1hm", "1S", "1e3", "ten", "300000d", "99999999999999999999", "1s,2s"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
  EXPECT_NE(parse_duration("soon").error().find("1h30m"), std::string::npos);
}

TEST(Units, BitRates) {
  EXPECT_EQ(*parse_bit_rate("100"), 100'000'000u);
  EXPECT_EQ(*parse_bit_rate("0.5"), 500'000u);
  EXPECT_EQ(*parse_bit_rate("10m"), 10'000'000u);
  EXPECT_EQ(*parse_bit_rate("2.5G"), 2'500'000'000u);
  EXPECT_EQ(*parse_bit_rate("1T"), 1'000'000'000'000u);
  EXPECT_EQ(*parse_bit_rate("1P"), 1'000'000'000'000'000u);
  for (auto text : {"", "K", "1K", "1E", "-1", "1Gb", "99999999P"}) EXPECT_FALSE(parse_bit_rate(text)) << text;
}

TEST(Units, Shares) {
  EXPECT_DOUBLE_EQ(*parse_share("0.1"), 0.1);
  EXPECT_DOUBLE_EQ(*parse_share("10%"), 0.1);
  EXPECT_DOUBLE_EQ(*parse_share("0"), 0);
  EXPECT_DOUBLE_EQ(*parse_share("1"), 1);
  EXPECT_DOUBLE_EQ(*parse_share("100%"), 1);
  for (auto text : {"", "%", "1.1", "101%", "-0.1", "10 %", "a"}) EXPECT_FALSE(parse_share(text)) << text;
}

TEST(WholeNumber, IsAllOfATextOrNothing) {
  EXPECT_EQ(whole_number<std::uint64_t>("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(whole_number<int>("-7"), -7);
  EXPECT_EQ(whole_number<unsigned>("1aF", 16), 0x1af);
  EXPECT_EQ(whole_number<unsigned>("0644", 8), 0644);
  for (auto* text : {"", " 1", "1 ", "+1", "-", "0x1", "1.0", "one", "-1", "65536", "99999999999999999999"})
    EXPECT_FALSE(whole_number<std::uint16_t>(text)) << text;
}

}  // namespace
}  // namespace kiseki::units
