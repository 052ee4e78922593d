// Values of flags: what is read, and what is said about what is not.
#include <gtest/gtest.h>

#include "cli/flag.hpp"

namespace kiseki::cli {
namespace {

const Flag& named(Flags flags, std::string_view name) {
  for (const Flag& flag : flags) {
    if (flag.name == name) return flag;
  }
  ADD_FAILURE() << "no flag " << name;
  return flags[0];
}
const Flag& mount_flag(std::string_view name) { return named(mount_flags(), name); }

template <class T>
T good(const Flag& flag, std::string_view text) {
  auto value = parse_value(flag, "--x", text);
  if (!value) {
    ADD_FAILURE() << text << ": " << value.error().sentence;
    return {};
  }
  return std::get<T>(*value);
}
std::string refusal(const Flag& flag, std::string_view text) {
  auto value = parse_value(flag, "--x", text);
  return value ? "accepted" : value.error().sentence;
}

TEST(FlagValue, SizesCountInTheFlagsUnit) {
  EXPECT_EQ(good<std::uint64_t>(mount_flag("buffer-size"), "300"), 300ull << 20);
  EXPECT_EQ(good<std::uint64_t>(mount_flag("buffer-size"), "300M"), 300ull << 20);
  EXPECT_EQ(good<std::uint64_t>(mount_flag("buffer-size"), "1.5g"), 3ull << 29);
  EXPECT_EQ(good<std::uint64_t>(mount_flag("max-fuse-io"), "131072"), 131072u);
  EXPECT_EQ(good<std::uint64_t>(named(format_flags(), "block-size"), "1024"), 1u << 20);
  EXPECT_EQ(good<std::uint64_t>(named(format_flags(), "capacity"), "2"), 2ull << 30);
}

TEST(FlagValue, Durations) {
  using namespace std::chrono_literals;
  const Flag& flag = mount_flag("attr-cache");
  EXPECT_EQ(good<std::chrono::nanoseconds>(flag, "12"), 12s);
  EXPECT_EQ(good<std::chrono::nanoseconds>(flag, "0.5"), 500ms);
  EXPECT_EQ(good<std::chrono::nanoseconds>(flag, "1h30m"), 90min);
  EXPECT_EQ(good<std::chrono::nanoseconds>(flag, "100ms"), 100ms);
  EXPECT_EQ(good<std::chrono::nanoseconds>(flag, "2d"), 48h);
  EXPECT_EQ(refusal(mount_flag("heartbeat"), "0"), "--x: 0 is out of range; allowed: 1s or more");
}

TEST(FlagValue, RatesSharesOctalsAndBools) {
  EXPECT_EQ(good<std::int64_t>(mount_flag("upload-limit"), "200"), 200);
  EXPECT_EQ(good<std::int64_t>(mount_flag("upload-limit"), "1G"), 1000);
  EXPECT_EQ(good<double>(mount_flag("free-space-ratio"), "0.25"), 0.25);
  EXPECT_EQ(good<std::uint64_t>(mount_flag("cache-mode"), "0640"), 0640u);
  for (auto yes : {"true", "1", "T"}) EXPECT_TRUE(good<bool>(mount_flag("read-only"), yes)) << yes;
  for (auto no : {"false", "0", "F"}) EXPECT_FALSE(good<bool>(mount_flag("read-only"), no)) << no;
}

TEST(FlagValue, RefusalsNameTheOriginTheValueAndWhatIsAllowed) {
  EXPECT_EQ(refusal(mount_flag("buffer-size"), "12Q")
                .rfind("--x: \"12Q\" is not valid; allowed: a number with an optional unit", 0),
            0u);
  EXPECT_NE(refusal(mount_flag("heartbeat"), "soon").find("1h30m"), std::string::npos);
  EXPECT_EQ(refusal(mount_flag("atime-mode"), "sometimes"),
            "--x: \"sometimes\" is not valid; allowed: noatime, relatime, strictatime");
  EXPECT_EQ(refusal(mount_flag("buffer-size"), "1M"), "--x: 1M is out of range; allowed: from 16M to 1P");
  EXPECT_EQ(refusal(named(format_flags(), "shards"), "257"), "--x: 257 is out of range; allowed: from 0 to 256");
  EXPECT_EQ(refusal(named(format_flags(), "block-size"), "32"), "--x: 32 is out of range; allowed: from 64K to 16M");
  EXPECT_EQ(refusal(mount_flag("read-only"), "yes"), "--x: \"yes\" is not valid; allowed: true or false");
}

TEST(FlagValue, GarbageIsRefusedByEveryNumericFlag) {
  for (Flags flags : {global_flags(), mount_flags(), format_flags(), config_flags(), status_flags()}) {
    for (const Flag& flag : flags) {
      if (flag.type == FlagType::text) continue;
      for (auto garbage : {"", "x", "-", "1 2", "--", "0x", "1ee", "999999999999999999999999"}) {
        EXPECT_NE(refusal(flag, garbage), "accepted") << flag.name << " " << garbage;
      }
    }
  }
}

}  // namespace
}  // namespace kiseki::cli
