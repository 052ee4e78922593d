// Flag > environment > configuration file > default, and what is said about mistakes in each.
#include "cli/settings.hpp"

#include <gtest/gtest.h>

namespace kiseki::cli {
namespace {

using Environment = std::map<std::string, std::string>;

Try<Settings> resolve(const std::vector<std::string>& words, const Environment& environment = {},
                      std::string_view toml = "") {
  auto line = parse_command_line(words);
  if (!line) return line.error();
  auto file = ConfigFile::parse(toml, "kiseki.toml");
  if (!file) return file.error();
  return Settings::resolve(
      std::move(*line),
      [&](const std::string& name) {
        auto at = environment.find(name);
        return at == environment.end() ? nullptr : at->second.c_str();
      },
      *file);
}

std::string refusal(const std::vector<std::string>& words, const Environment& environment = {},
                    std::string_view toml = "") {
  auto settings = resolve(words, environment, toml);
  return settings ? "accepted" : settings.error().sentence;
}

TEST(Settings, TheNearerSourceWins) {
  const char* toml = "[mount]\nbuffer-size = \"100M\"\n";
  EXPECT_EQ(resolve({"mount", "/m"})->count("buffer-size"), 300u << 20);
  EXPECT_EQ(resolve({"mount", "/m"}, {}, toml)->count("buffer-size"), 100u << 20);
  EXPECT_EQ(resolve({"mount", "/m"}, {{"KISEKI_BUFFER_SIZE", "200M"}}, toml)->count("buffer-size"), 200u << 20);
  auto all = resolve({"mount", "/m", "--buffer-size", "400M"}, {{"KISEKI_BUFFER_SIZE", "200M"}}, toml);
  EXPECT_EQ(all->count("buffer-size"), 400u << 20);
  EXPECT_EQ(all->source("buffer-size"), Source::command_line);
  EXPECT_EQ(resolve({"mount", "/m", "--buffer-size", "1G", "--buffer-size", "2G"})->count("buffer-size"), 2ull << 30);
}

TEST(Settings, MountOptionsAreTheCommandLineToo) {
  auto settings = resolve({"mount", "/m", "-o", "ro,buffer-size=64M"}, {{"KISEKI_BUFFER_SIZE", "200M"}});
  EXPECT_EQ(settings->count("buffer-size"), 64u << 20);
  EXPECT_TRUE(settings->mount_options().read_only);
  EXPECT_EQ(resolve({"mount", "/m"}, {}, "[mount]\no = \"ro\"\n")->mount_options().read_only, true);
}

TEST(Settings, JuiceFsNamesOfTheEnvironmentWork) {
  EXPECT_EQ(resolve({"format", "u", "n"}, {{"ACCESS_KEY", "me"}})->text("access-key"), "me");
  EXPECT_EQ(resolve({"format", "u", "n"}, {{"ACCESS_KEY", "me"}, {"KISEKI_ACCESS_KEY", "you"}})->text("access-key"),
            "you");
  EXPECT_FALSE(resolve({"format", "u", "n"}, {{"ACCESS_KEY", ""}})->given("access-key"));
}

TEST(Settings, ConfigTakesFlagsOnlyForWhatItChanges) {
  auto settings =
      resolve({"config", "u"}, {{"KISEKI_TRASH_DAYS", "3"}, {"KISEKI_ACCESS_KEY", "x"}}, "log-format = \"json\"\n");
  EXPECT_FALSE(settings->given("trash-days"));
  EXPECT_FALSE(settings->given("access-key"));
  EXPECT_EQ(settings->text("log-format"), "json");
}

TEST(Settings, FilesMayHoldAnyTomlType) {
  auto settings =
      resolve({"mount", "/m"}, {},
              "quiet = true\n[mount]\nread-only = true\nmax-uploads = 7\nfree-space-ratio = 0.2\numask = \"022\"\n");
  ASSERT_TRUE(settings) << settings.error().sentence;
  EXPECT_TRUE(settings->on("quiet"));
  EXPECT_TRUE(settings->on("read-only"));
  EXPECT_EQ(settings->integer("max-uploads"), 7);
  EXPECT_EQ(settings->ratio("free-space-ratio"), 0.2);
  EXPECT_EQ(settings->count("umask"), 022u);
}

TEST(Settings, MistakesNameTheirPlaceAndWhatIsAllowed) {
  EXPECT_EQ(refusal({"mount", "/m", "--atime-mode", "x"}),
            "--atime-mode: \"x\" is not valid; allowed: noatime, relatime, strictatime");
  EXPECT_EQ(refusal({"mount", "/m"}, {{"KISEKI_ATIME_MODE", "x"}}),
            "KISEKI_ATIME_MODE: \"x\" is not valid; allowed: noatime, relatime, strictatime");
  EXPECT_EQ(refusal({"mount", "/m"}, {}, "[mount]\natime-mode = \"x\"\n"),
            "kiseki.toml: mount.atime-mode: \"x\" is not valid; allowed: noatime, relatime, strictatime");
  EXPECT_EQ(refusal({"mount", "/m"}, {}, "[format]\nshards = 999\n"),
            "kiseki.toml: format.shards: 999 is out of range; allowed: from 0 to 256")
      << "other verbs' tables are checked too";
  EXPECT_EQ(refusal({"mount", "/m"}, {}, "[mount]\nbufer-size = 1\n")
                .rfind("kiseki.toml: mount.bufer-size: unknown key; allowed here: ", 0),
            0u);
  EXPECT_EQ(refusal({"mount", "/m"}, {}, "[gc]\n"),
            "kiseki.toml: [gc]: unknown table; allowed: format, mount, umount, status, info, objbench");
  EXPECT_EQ(refusal({"mount", "/m"}, {}, "[mount]\no = [1]\n"),
            "kiseki.toml: mount.o: a list or table cannot stand here; allowed: text");
  EXPECT_EQ(refusal({"mount", "/m"}, {}, "x = = 1\n").rfind("kiseki.toml: line 1: ", 0), 0u);
}

TEST(Settings, FlagsWithoutEffectAreListedOnlyWhenGiven) {
  EXPECT_TRUE(resolve({"mount", "/m"})->without_effect().empty());
  EXPECT_EQ(resolve({"mount", "/m", "--writeback", "--read-only", "--cache-size", "1G"})->without_effect(),
            (std::vector<std::string>{"writeback"}));
  EXPECT_TRUE(resolve({"mount", "/m", "--writeback=false"})->without_effect().empty());
}

}  // namespace
}  // namespace kiseki::cli
