#include "core/metrics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

namespace kiseki::metrics {
namespace {

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST(Metrics, CountersAddUpOverThreads) {
  Counter counter;
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) counter.add();
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(counter.value(), 60'000u);
}

TEST(Metrics, HistogramPutsTheBoundIntoItsBucket) {
  auto& sizes = all().compact_size;
  auto before = sizes.count();
  sizes.observe(1024.0);
  sizes.observe(1025.0);
  sizes.observe(1e12);
  EXPECT_EQ(sizes.count(), before + 3);
  auto text = metrics_text();
  EXPECT_NE(text.find("juicefs_compact_size_histogram_bytes_bucket{le=\"1024\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("juicefs_compact_size_histogram_bytes_bucket{le=\"2048\"} 2\n"), std::string::npos);
  EXPECT_NE(text.find("juicefs_compact_size_histogram_bytes_bucket{le=\"+Inf\"} 3\n"), std::string::npos);
}

TEST(Metrics, BoundsAreAsTheOriginalHasThem) {
  auto durations = exponential(1e-5, 1.8, 29);
  EXPECT_EQ(durations.size(), 29u);
  EXPECT_NEAR(durations[28], 1e-5 * std::pow(1.8, 28), 1e-6);
  auto sizes = linear(4096, 4096, 32);
  EXPECT_EQ(sizes.front(), 4096);
  EXPECT_EQ(sizes.back(), 131072);
}

TEST(Metrics, ACommonLabelIsOnEverySeriesSortedWithLeLast) {
  set_common_labels({{"vol_name", "test"}, {"mp", "/mnt/a\"b"}, {"instance", "host"}});
  all().object_durations.with({"GET", "STANDARD"}).observe(0.001);
  auto text = metrics_text();
  set_common_labels({});
  EXPECT_NE(
      text.find("juicefs_object_request_durations_histogram_seconds_bucket{instance=\"host\",method=\"GET\",mp=\"/mnt/"
                "a\\\"b\",storage_class=\"STANDARD\",vol_name=\"test\",le=\"0.01\"} 1\n"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find("juicefs_uptime{instance=\"host\",mp="), std::string::npos);
}

TEST(Metrics, AGaugeShowsOnceItWasSetOrFollows) {
  EXPECT_EQ(metrics_text().find("juicefs_used_space"), std::string::npos);
  {
    auto following = all().used_space.follow([] { return 42.0; });
    EXPECT_TRUE(has_line(metrics_text(), "juicefs_used_space 42"));
  }
  EXPECT_EQ(metrics_text().find("juicefs_used_space"), std::string::npos);
  all().used_space.set(7);
  all().used_space.add(1);
  EXPECT_TRUE(has_line(metrics_text(), "juicefs_used_space 8"));
  auto& quota = all().dir_quota_used_space;
  quota.with({"17"}).set(5);
  EXPECT_TRUE(has_line(metrics_text(), "juicefs_dir_quota_used_space_bytes{inode=\"17\"} 5"));
  quota.remove({"17"});
  EXPECT_EQ(metrics_text().find("inode=\"17\""), std::string::npos);
}

TEST(Metrics, TheProcessDescribesItself) {
  auto text = stats_text();
  std::set<std::string> names;
  std::istringstream in(text);
  std::string name, value;
  while (in >> name >> value) {
    names.insert(name);
    EXPECT_EQ(value.find('e'), std::string::npos) << name << ' ' << value;
  }
  for (auto want : {"juicefs_uptime", "juicefs_cpu_usage", "juicefs_memory", "juicefs_process_open_fds"})
    EXPECT_TRUE(names.contains(want)) << want;
}

TEST(Metrics, StatsAreFlat) {
  auto& catalog = all();
  catalog.fuse_ops.with({"lookup"}).add(3);
  catalog.fuse_ops_seconds.with({"lookup"}).add(std::chrono::milliseconds(1500));
  catalog.fuse_io_errors.with({"ENOENT"}).add();
  catalog.object_durations.with({"PUT", "STANDARD"}).observe(std::chrono::milliseconds(250));
  catalog.object_data_bytes.with({"PUT", "STANDARD"}).add(4'000'000'000'000'000'000);
  set_common_labels({{"mp", "/x"}});
  auto text = stats_text();
  set_common_labels({});
  for (auto line :
       {"juicefs_fuse_ops_total_lookup 3", "juicefs_fuse_ops_durations_seconds_lookup 1.5",
        "juicefs_fuse_ops_io_errors_ENOENT 1", "juicefs_object_request_durations_histogram_seconds_PUT_total 1",
        "juicefs_object_request_durations_histogram_seconds_PUT_sum 0.25",
        "juicefs_object_request_data_bytes_PUT 4000000000000000000"}) {
    EXPECT_TRUE(has_line(text, line)) << line << "\n" << text;
  }
}

/// Every name a dashboard may ask a mount for is ours, with the same labels, save those of the original's own runtime.
TEST(Metrics, NamesAreThoseOfTheReference) {
  const char* shared = std::getenv("KISEKI_SHARED");
  std::ifstream table(std::string(shared ? shared : KISEKI_SHARED_DIR) + "/juicefs/metrics.tsv");
  if (!table) GTEST_SKIP() << "SKIPPED: no juicefs/metrics.tsv in KISEKI_SHARED";
  std::set<std::string> ours;
  for (const auto* family : all().registry) ours.insert(family->name());
  std::istringstream process(stats_text());
  for (std::string name, value; process >> name >> value;) ours.insert(name);
  int seen = 0;
  for (std::string line; std::getline(table, line);) {
    auto name = line.substr(0, line.find('\t'));
    auto foreign =
        name.rfind("juicefs_go_", 0) == 0 || name.rfind("juicefs_sync_", 0) == 0 || name.rfind("juicefs_sdk_", 0) == 0;
    if (name.rfind("juicefs_", 0) != 0 || foreign) continue;
    EXPECT_TRUE(ours.contains(name)) << name;
    ++seen;
  }
  EXPECT_GT(seen, 60);
}

}  // namespace
}  // namespace kiseki::metrics
