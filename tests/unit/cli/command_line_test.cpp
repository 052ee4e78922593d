// Words of the command line, of mount(8) and of fstab.
#include "cli/command_line.hpp"

#include <gtest/gtest.h>

namespace kiseki::cli {
namespace {

using Words = std::vector<std::string>;

/// "verb arg,arg name=value,name=value" of what was parsed, or the refusal.
std::string parsed(const Words& words) {
  auto line = parse_command_line(words);
  if (!line) return (line.error().exit == Exit::unknown_verb ? "3: " : "1: ") + line.error().sentence;
  std::string out(line->verb ? line->verb->name : "-");
  out += " ";
  for (const auto& argument : line->arguments) out += argument + ",";
  out += " ";
  for (const auto& given : line->given) out += std::string(given.flag->name) + "=" + given.text + ",";
  return out;
}

TEST(CommandLine, FlagsStandAnywhereWithOneDashOrTwo) {
  const std::string same = "mount sqlite3://v.db,/mnt, background=true,buffer-size=1G,";
  EXPECT_EQ(parsed({"mount", "sqlite3://v.db", "/mnt", "-d", "--buffer-size", "1G"}), same);
  EXPECT_EQ(parsed({"-d", "--buffer-size", "1G", "mount", "sqlite3://v.db", "/mnt"}), same);
  EXPECT_EQ(parsed({"mount", "-d", "sqlite3://v.db", "-buffer-size=1G", "/mnt"}), same);
  EXPECT_EQ(parsed({"mount", "--background", "sqlite3://v.db", "--buffer-size=1G", "/mnt"}), same);
}

TEST(CommandLine, BooleansTakeAValueOnlyAfterTheEqualsSign) {
  EXPECT_EQ(parsed({"mount", "--read-only=false", "/mnt"}), "mount /mnt, read-only=false,");
  EXPECT_EQ(parsed({"mount", "--read-only", "false"}), "mount false, read-only=true,");
}

TEST(CommandLine, EveryMentionIsKeptInOrder) {
  EXPECT_EQ(parsed({"format", "--trash-days", "1", "u", "n", "--trash-days=2"}),
            "format u,n, trash-days=1,trash-days=2,");
}

TEST(CommandLine, GlobalFlagsGoWithEveryVerb) {
  EXPECT_EQ(parsed({"-v", "status", "u", "--log-level", "warn"}), "status u, verbose=true,log-level=warn,");
  EXPECT_EQ(parsed({"--version"}), "-  version=true,");
  EXPECT_EQ(parsed({}), "-  ");
}

TEST(CommandLine, MistakesAreNamed) {
  EXPECT_EQ(parsed({"frobnicate"}), "3: No help topic for 'frobnicate'; see kiseki --help");
  EXPECT_EQ(parsed({"gc", "redis://h/1"}),
            "3: No help topic for 'gc'; kiseki cannot do it yet; `juicefs gc` works on the same volume");
  EXPECT_EQ(parsed({"mount", "--nope", "/mnt"}), "1: unknown option --nope of mount; see kiseki mount --help");
  EXPECT_EQ(parsed({"mount", "-"}), "1: unknown option - of mount; see kiseki mount --help");
  EXPECT_EQ(parsed({"mount", "--"}), "1: unknown option -- of mount; see kiseki mount --help");
  EXPECT_EQ(parsed({"status", "-ms", "1"}), "1: unknown option -ms of status; see kiseki status --help")
      << "no bundling";
  EXPECT_EQ(parsed({"mount", "--buffer", "1G"}), "1: unknown option --buffer of mount; see kiseki mount --help")
      << "no abbreviation";
  EXPECT_EQ(parsed({"mount", "/mnt", "--buffer-size"}).rfind("1: --buffer-size: a value is missing", 0), 0u);
}

std::string options(std::string_view list) {
  auto parsed = parse_mount_options(list);
  if (!parsed) return parsed.error().sentence;
  std::string out;
  for (const auto& given : parsed->flags) out += std::string(given.flag->name) + "=" + given.text + ",";
  for (const auto& kernel : parsed->kernel) out += "+" + kernel;
  if (parsed->allow_other) out += " allow_other";
  if (parsed->read_only) out += " ro";
  if (parsed->writeback_cache) out += " writeback_cache";
  return out;
}

TEST(MountOptions, FstabMayNameAnyFlag) {
  EXPECT_EQ(options("rw,_netdev,nofail,allow_other,cache-size=200G,enable-xattr,no-bgjob"),
            "cache-size=200G,enable-xattr=true,no-bgjob=true, allow_other");
  EXPECT_EQ(options("attrcacheto=2,entrycacheto=3,direntrycacheto=4"), "attr-cache=2,entry-cache=3,dir-entry-cache=4,");
  EXPECT_EQ(options("ro,debug,noatime,x-systemd.automount,fsname=abc,max_read=131072"), "verbose=true,+noatime ro");
  EXPECT_EQ(options(""), "");
}

TEST(MountOptions, MistakesAreNamed) {
  EXPECT_EQ(options("buffer-size").rfind("-o buffer-size: a value is missing; allowed: a number", 0), 0u);
  EXPECT_EQ(options("rw,frobnicate").rfind("-o frobnicate: unknown mount option", 0), 0u);
}

TEST(MountHelper, SpeaksAsMountDoes) {
  EXPECT_EQ(words_of_mount_helper({"sqlite3://v.db", "/mnt", "-o", "rw,nofail"}),
            (Words{"mount", "-d", "-o", "rw,nofail", "sqlite3://v.db", "/mnt"}));
  EXPECT_EQ(words_of_mount_helper({"-s", "-n", "sqlite3://v.db", "/mnt", "-t", "fuse.kiseki"}),
            (Words{"mount", "-d", "sqlite3://v.db", "/mnt"}));
  EXPECT_EQ(words_of_mount_helper({"sqlite3://v.db"}), (Words{"mount", "--help"}));
}

}  // namespace
}  // namespace kiseki::cli
