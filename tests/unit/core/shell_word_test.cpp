#include "core/shell_word.hpp"

#include <gtest/gtest.h>

#include <cstdio>

namespace kiseki {
namespace {

TEST(ShellWord, QuotesOnlyWhatAShellWouldChange) {
  EXPECT_EQ(shell_word("sqlite3:///srv/v-1.db"), "sqlite3:///srv/v-1.db");
  EXPECT_EQ(shell_word("redis://ann@10.0.0.1:6379/1"), "redis://ann@10.0.0.1:6379/1");
  EXPECT_EQ(shell_word("redis://h/1?db=2&wait-replicas=1"), "'redis://h/1?db=2&wait-replicas=1'");
  EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_word(""), "''");
}

TEST(ShellWord, IsReadByAShellAsItWas) {
  for (std::string text : {"a b", "a&b;c|d", "$HOME `id` \\n \"x\"", "'", "''a''", "~", "*?[a]{b,c}", "#!", "a\nb",
                           "(<>)", "-n", "a=b", "redis://:p%40ss@[::1]:6379/1?x=1&y='2'"}) {
    auto line = "printf '%s' " + shell_word(text);
    auto* pipe = ::popen(line.c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    std::string read(1000, '\0');
    read.resize(std::fread(read.data(), 1, read.size(), pipe));
    EXPECT_EQ(::pclose(pipe), 0);
    EXPECT_EQ(read, text);
  }
}

}  // namespace
}  // namespace kiseki
