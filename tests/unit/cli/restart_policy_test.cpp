// When a supervisor starts another worker, and when it has had enough.
#include "cli/restart_policy.hpp"

#include <gtest/gtest.h>

namespace kiseki::cli {
namespace {

using namespace std::chrono_literals;
const RestartPolicy::Clock::time_point kStart{1h};

TEST(RestartPolicy, ThreeCrashesInTenSecondsAreEnough) {
  RestartPolicy policy;
  EXPECT_EQ(policy.crashed(kStart), 0ms);
  EXPECT_EQ(policy.crashed(kStart + 4s), 0ms);
  EXPECT_EQ(policy.crashed(kStart + 8s), std::nullopt);
}

TEST(RestartPolicy, RareCrashesAreNeverEnough) {
  RestartPolicy policy;
  for (int i = 0; i < 50; ++i) EXPECT_EQ(policy.crashed(kStart + i * 6s), 0ms);
}

TEST(RestartPolicy, StartsAreTriedForTenMinutesWithLongerPauses) {
  RestartPolicy policy;
  auto now = kStart;
  int tries = 0;
  for (RestartPolicy::Pause pause; (pause = policy.failed_to_start(now)); ++tries) {
    EXPECT_GE(*pause, 1s);
    EXPECT_LE(*pause, 30s);
    now += *pause;
  }
  EXPECT_GE(now - kStart, 10min);
  EXPECT_LE(now - kStart, 11min);
  EXPECT_GT(tries, 20);
}

TEST(RestartPolicy, WhoServedMayFailAgain) {
  RestartPolicy policy;
  EXPECT_EQ(policy.failed_to_start(kStart), 1s);
  EXPECT_EQ(policy.failed_to_start(kStart + 1s), 2s);
  policy.serves();
  EXPECT_EQ(policy.failed_to_start(kStart + 11min), 1s);
}

}  // namespace
}  // namespace kiseki::cli
