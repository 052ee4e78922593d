// Proves that ThreadSanitizer is awake in a build that claims to have it: a planted race must be told.
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

namespace {

int g_counter = 0;

/// Two threads count without a word to each other.
[[noreturn]] void race() {
  std::thread other([] { ++g_counter; });
  ++g_counter;
  other.join();
  std::exit(0);  // which ThreadSanitizer turns into a code of its own
}

TEST(SanitizerDeathTest, CatchesADataRace) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(race(), ::testing::ExitedWithCode(66), "data race");
}

}  // namespace
