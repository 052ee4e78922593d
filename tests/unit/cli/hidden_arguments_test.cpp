// What other users see of our command line.
#include "cli/hidden_arguments.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace kiseki::cli {
namespace {

std::string shown(std::vector<std::string> words) {
  words.insert(words.begin(), "kiseki");
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  hide_secrets(static_cast<int>(argv.size()), argv.data());
  std::string out;
  for (std::size_t i = 1; i < words.size(); ++i) out += (i > 1 ? " " : "") + words[i];
  return out;
}

TEST(HiddenArguments, PasswordsOfUrls) {
  EXPECT_EQ(shown({"mount", "redis://:p:w@host/1", "/mnt"}), "mount redis://:***@host/1 /mnt");
  EXPECT_EQ(shown({"status", "rediss://user:a@b@host:6379/1"}), "status rediss://user:***@host:6379/1");
  EXPECT_EQ(shown({"format", "--bucket=https://K:SS@s3.example/b"}), "format --bucket=https://K:**@s3.example/b");
}

TEST(HiddenArguments, ValuesOfSecretFlags) {
  EXPECT_EQ(shown({"format", "--secret-key", "abc", "-secret-key=de", "--session-token", "-x", "u", "n"}),
            "format --secret-key *** -secret-key=** --session-token ** u n");
}

TEST(HiddenArguments, TheRestStays) {
  for (const char* word : {"sqlite3:///a:b@c.db", "redis://host:6379/1", "redis://user@host/1", "--bucket=/a:b@c", "-"})
    EXPECT_EQ(shown({word}), word);
}

}  // namespace
}  // namespace kiseki::cli
