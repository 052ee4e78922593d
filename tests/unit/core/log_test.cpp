#include "core/log.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "core/log_output.hpp"

namespace kiseki::log {
namespace {

class LogTest : public ::testing::Test {
 protected:
  LogTest() : path_(std::filesystem::temp_directory_path() / ("kiseki-log-test-" + std::to_string(::getpid()))) {}
  ~LogTest() override {
    configure({});
    std::filesystem::remove(path_);
  }
  void open(Level level, bool json) { configure({.level = level, .json = json, .file = path_.string()}); }
  std::vector<std::string> lines() const {
    std::ifstream file(path_);
    std::vector<std::string> out;
    for (std::string line; std::getline(file, line);) out.push_back(line);
    return out;
  }
  std::filesystem::path path_;
};

TEST_F(LogTest, TextLine) {
  open(Level::info, false);
  info("object.put.retry", {{"key", "chunks/0"},
                            {"attempt", 2},
                            {"why", "a \"b\"\n"},
                            {"empty", ""},
                            {"error", std::make_error_code(std::errc::no_space_on_device)}});
  auto got = lines();
  ASSERT_EQ(got.size(), 1u);
  const auto& line = got[0];
  // 2026-11-21 10:00:00.123 INFO  event ...
  ASSERT_GT(line.size(), 30u);
  EXPECT_EQ(line[4], '-');
  EXPECT_EQ(line[10], ' ');
  EXPECT_EQ(line[19], '.');
  EXPECT_EQ(line.substr(23),
            " INFO  object.put.retry key=chunks/0 attempt=2 why=\"a \\\"b\\\"\\n\" empty=\"\" error=\"No space left on "
            "device\"");
}

TEST_F(LogTest, LevelsFilter) {
  open(Level::warn, false);
  EXPECT_FALSE(enabled(Level::info));
  EXPECT_TRUE(enabled(Level::error));
  debug("a");
  info("b");
  warn("c");
  error("d");
  auto got = lines();
  ASSERT_EQ(got.size(), 2u);
  EXPECT_NE(got[0].find(" WARN  c"), std::string::npos);
  EXPECT_NE(got[1].find(" ERROR d"), std::string::npos);
}

TEST_F(LogTest, JsonIsValidWhateverTheBytes) {
  open(Level::debug, true);
  std::string every;
  for (int c = 0; c < 256; ++c) every.push_back(static_cast<char>(c));
  debug("x", {{"every", every},
              {"utf8", "na\u00EFve \u65E5\u672C \U0001F600"},
              {"cut", "\xE6\x97"},
              {"overlong", "\xC0\xAF"},
              {"surrogate", "\xED\xA0\x80"}});
  auto got = lines();
  ASSERT_EQ(got.size(), 1u);
  auto value = boost::json::parse(got[0]);
  EXPECT_EQ(value.at("level").as_string(), "DEBUG");
  EXPECT_EQ(value.at("event").as_string(), "x");
  EXPECT_EQ(value.at("time").as_string().back(), 'Z');
  EXPECT_EQ(value.at("utf8").as_string(), "na\u00EFve \u65E5\u672C \U0001F600");
  EXPECT_EQ(value.at("cut").as_string(), "\uFFFD\uFFFD");
  EXPECT_EQ(value.at("overlong").as_string(), "\uFFFD\uFFFD");
  EXPECT_EQ(value.at("surrogate").as_string(), "\uFFFD\uFFFD\uFFFD");
  auto plain = std::string(value.at("every").as_string()).substr(0, 128);
  EXPECT_EQ(plain, every.substr(0, 128));
}

TEST_F(LogTest, LinesOfThreadsStayWhole) {
  open(Level::info, true);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 200; ++i) info("e", {{"t", t}, {"i", i}});
    });
  }
  for (auto& thread : threads) thread.join();
  auto got = lines();
  EXPECT_EQ(got.size(), 800u);
  for (const auto& line : got) EXPECT_NO_THROW((void)boost::json::parse(line)) << line;
}

TEST_F(LogTest, AnUnwritableFileIsAnError) { EXPECT_THROW(configure({.file = "/dev/null/log"}), std::runtime_error); }

TEST_F(LogTest, InTheBackgroundEverythingArrivesInOrder) {
  open(Level::info, false);
  {
    Background thread;
    for (int i = 0; i < 5000; ++i) info("line", {{"i", i}});
  }
  info("line", {{"i", 5000}});
  auto got = lines();
  ASSERT_EQ(got.size(), 5001u);
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(got[i].ends_with("i=" + std::to_string(i))) << got[i];
}

/// A log that nobody reads: a FIFO.
class StuckLog : public LogTest {
 protected:
  StuckLog() {
    ::signal(SIGPIPE, SIG_IGN);
    EXPECT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    reader_ = ::open(path_.c_str(), O_RDONLY | O_NONBLOCK);
    open(Level::info, false);
  }
  ~StuckLog() override { ::close(reader_); }
  std::string read_all() const {
    std::string out;
    char some[65536];
    for (ssize_t n; (n = ::read(reader_, some, sizeof some)) > 0;) out.append(some, static_cast<std::size_t>(n));
    return out;
  }
  int reader_ = -1;
};

TEST_F(StuckLog, DoesNotHoldUpWhoLogs) {
  std::string text(200, 'x');
  std::string got;
  {
    Background thread;
    auto begun = std::chrono::steady_clock::now();
    for (int i = 0; i < 20'000; ++i) info("line", {{"text", text}});
    EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(5));
    while (got.find("log.lines_dropped lines=") == got.npos) got += read_all();
  }
  EXPECT_GT(std::count(got.begin(), got.end(), '\n'), 8000);
}

TEST_F(StuckLog, DoesNotHoldUpTheEnd) {
  auto begun = std::chrono::steady_clock::now();
  {
    Background thread;
    for (int i = 0; i < 2000; ++i) info("line", {{"text", std::string(200, 'x')}});
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(5));
  while (read_all().empty()) {
  }
}

TEST_F(StuckLog, ACrashWritesWhatWaits) {
  auto child = ::fork();
  if (child == 0) {
    for (int number : {SIGSEGV, SIGABRT}) ::signal(number, SIG_DFL);
    Background thread;
    for (int i = 0; i < 300; ++i) info("line", {{"text", std::string(200, 'x')}});  // more than the pipe holds
    info("the.last");
    ::raise(SIGABRT);
    ::_exit(0);
  }
  std::string got;
  int status = 0;
  for (pid_t ended = 0; ended == 0; ended = ::waitpid(child, &status, WNOHANG)) got += read_all();
  got += read_all();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) << status;
  EXPECT_NE(got.find("the.last"), got.npos);
}

}  // namespace
}  // namespace kiseki::log
