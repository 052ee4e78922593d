// Proves that AddressSanitizer is awake in a build that claims to have it: a planted use after free must end the
// process.
#include <gtest/gtest.h>

#include <memory>

namespace {

int read_after_free() {
  auto owner = std::make_unique<int>(42);
  volatile int* left = owner.get();
  owner.reset();
  return *left;
}

TEST(SanitizerDeathTest, CatchesAUseAfterFree) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH((void)read_after_free(), "heap-use-after-free");
}

int overflow(int by) { return 2147483647 + by; }

TEST(SanitizerDeathTest, CatchesSignedOverflow) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  volatile int one = 1;
  EXPECT_DEATH((void)overflow(one), "signed integer overflow");
}

}  // namespace
