// What `config` makes of a volume's settings, and how it says so.
#include "cli/config_changes.hpp"

#include <gtest/gtest.h>

namespace kiseki::cli {
namespace {

meta::Format volume() {
  meta::Format format;
  format.name = "vol";
  format.uuid = "00000000-1111-2222-3333-444444444444";
  format.bucket = "/srv/objects/";
  format.min_client_version = "1.1.0-A";
  return format;
}

Try<ConfigChanges> changes(std::vector<std::string> flags, const meta::Format& now = volume()) {
  std::vector<std::string> words{"config", "sqlite3://v.db"};
  words.insert(words.end(), flags.begin(), flags.end());
  auto line = parse_command_line(words);
  auto settings =
      Settings::resolve(std::move(*line), [](const std::string&) { return static_cast<const char*>(nullptr); }, {});
  if (!settings) return settings.error();
  return config_changes(*settings, now);
}

TEST(ConfigChanges, EachChangeIsALine) {
  auto got = changes({"--capacity", "1", "--trash-days", "7", "--inodes=0"});
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->asked);
  EXPECT_EQ(got->lines, (std::vector<std::string>{"  capacity: 0 B -> 1.0 GiB", "trash-days: 1 -> 7"}));
  EXPECT_EQ(got->wanted.capacity, 1ull << 30);
  EXPECT_EQ(got->wanted.trash_days, 7);
  EXPECT_TRUE(got->risks.empty());
}

TEST(ConfigChanges, SecretsAreWrittenAgainAndStayPlainUntilThen) {
  auto keyed = volume();
  keyed.secret_key = "hush";
  auto got = changes({"--encrypt-secret"}, keyed);
  EXPECT_EQ(got->lines.size(), 1u);
  EXPECT_FALSE(got->wanted.key_encrypted);  // who writes them encrypts what is not
  EXPECT_TRUE(changes({"--encrypt-secret"})->lines.empty());
  EXPECT_EQ(changes({"--encrypt-secret", "--secret-key", "new"})->lines.size(), 2u);
}

TEST(ConfigChanges, WhatIsSoAlreadyIsNoChange) {
  auto same = changes({"--trash-days", "1"});
  EXPECT_TRUE(same->asked && same->lines.empty());
  EXPECT_FALSE(changes({"--yes"})->asked);
}

TEST(ConfigChanges, WhatCouldHurtIsARisk) {
  EXPECT_EQ(changes({"--trash-days", "0"})->risks.size(), 1u);
  auto moved = changes({"--bucket", "/elsewhere"});
  EXPECT_EQ(moved->risks.size(), 1u);
  EXPECT_TRUE(moved->storage_changed);
  EXPECT_EQ(moved->wanted.bucket, "/elsewhere/");
  EXPECT_EQ(changes({"--min-client-version", "9.0.0"})->risks.size(), 1u);
}

TEST(ConfigChanges, SecretsAreNotShown) {
  auto got = changes({"--secret-key", "hush"});
  ASSERT_EQ(got->lines.size(), 1u);
  EXPECT_EQ(got->lines[0], "secret-key:  -> removed");
  EXPECT_EQ(got->wanted.secret_key, "hush");
}

TEST(ConfigChanges, FeaturesRaiseTheOldestClientAllowed) {
  EXPECT_EQ(changes({"--enable-acl"})->wanted.min_client_version, "1.2.0-A");
  EXPECT_EQ(changes({"--tier", "1", "--storage-class", "IA"})->wanted.min_client_version, "1.4.0-A");
  EXPECT_EQ(changes({"--tier", "1", "--storage-class", "IA"})->wanted.tiers.at("1").storage_class, "IA");
}

TEST(ConfigChanges, OneWayDoorsStayShut) {
  auto with_acl = volume();
  with_acl.enable_acl = true;
  EXPECT_EQ(changes({"--enable-acl=false"}, with_acl).error().sentence,
            "--enable-acl: ACLs cannot be switched off again");
  EXPECT_EQ(changes({"--min-client-version", "1.0.0"}).error().sentence,
            "--min-client-version: may only rise; it is 1.1.0-A");
  EXPECT_EQ(changes({"--min-client-version", "soon"})
                .error()
                .sentence.rfind("--min-client-version: \"soon\" is not a version", 0),
            0u);
  EXPECT_EQ(changes({"--tier", "2"}).error().sentence, "--tier: say what of it changes, with --storage-class or --tag");
}

TEST(ConfigChanges, HumanBytes) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(100ull << 30), "100 GiB");
}

}  // namespace
}  // namespace kiseki::cli
