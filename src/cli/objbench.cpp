#include <fmt/format.h>

#include <boost/json.hpp>
#include <chrono>
#include <cstdio>

#include "cli/json_text.hpp"
#include "cli/objbench_checks.hpp"
#include "cli/objbench_load.hpp"
#include "cli/settings.hpp"
#include "cli/storage_check.hpp"
#include "cli/text_table.hpp"
#include "core/log.hpp"
#include "object/open_store.hpp"

namespace kiseki::cli {
namespace {

namespace json = boost::json;

/// "4.0 MiB", "128 KiB": one decimal below ten.
std::string short_size(std::uint64_t bytes) {
  constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(units); ++unit) value /= 1024;
  return unit > 0 && value < 10 ? fmt::format("{:.1f} {}", value, units[unit])
                                : fmt::format("{:.0f} {}", value, units[unit]);
}

/// Two decimals; below 0.01 two significant digits.
std::string cost_text(double milliseconds) {
  return milliseconds < 0.01 ? fmt::format("{:.2g}", milliseconds) : fmt::format("{:.2f}", milliseconds);
}

Try<LoadOptions> load_options(const Settings& settings) {
  LoadOptions options;
  for (auto flag : {"block-size", "big-object-size", "small-object-size", "small-objects", "threads"}) {
    if (settings.count(flag) == 0)
      return Failure{Exit::failed, fmt::format("{}: 0 is not allowed here", settings.origin(flag))};
  }
  options.block_bytes = settings.count("block-size");
  options.small_bytes = settings.count("small-object-size");
  options.big_count = (settings.count("big-object-size") + options.block_bytes - 1) / options.block_bytes;
  options.small_count = settings.count("small-objects");
  options.threads = std::min({settings.count("threads"), options.big_count, options.small_count});
  if (options.threads < settings.count("threads"))
    log::warn("objbench.threads", {{"lowered_to", options.threads}, {"why", "there are no more objects than that"}});
  return options;
}

Try<object::StorePtr> open(const Settings& settings, std::size_t at_once, Runtime& runtime) {
  object::StoreSpec spec;
  spec.storage = settings.text("storage");
  TRY(spec.bucket, stored_bucket(spec.storage, settings.arguments()[0]));
  spec.access_key = settings.text("access-key");
  spec.secret_key = settings.text("secret-key");
  spec.session_token = settings.text("session-token");
  spec.storage_class = settings.text("storage-class");
  spec.shards = static_cast<unsigned>(settings.integer("shards"));
  auto now = std::chrono::system_clock::now().time_since_epoch();
  spec.volume =
      fmt::format("__juicefs_benchmark_{}__", std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
  spec.retries.tries = 1;  // what fails is what is to be shown
  spec.limits.uploads = spec.limits.downloads = at_once;
  auto opened = object::open_store(spec, runtime);
  if (!opened.store) return Failure{Exit::failed, opened.error};
  return opened.store;
}

void print_checks(const std::vector<CheckOutcome>& checks) {
  std::vector<std::vector<std::string>> rows{{"CATEGORY", "TEST", "RESULT"}};
  for (const auto& check : checks) rows.push_back({check.category, check.test, check.result});
  fmt::print("{}\n", text_table(rows));
}

void print_load(const std::vector<LoadOutcome>& outcomes) {
  std::vector<std::vector<std::string>> rows{{"ITEM", "VALUE", "COST"}};
  std::vector<std::vector<std::string>> latencies{{"LATENCY (ms)", "P50", "P95", "P99", "MAX"}};
  for (const auto& one : outcomes) {
    if (!one.supported) {
      rows.push_back({one.title, "not support", "not support"});
      continue;
    }
    if (one.failures > 0) {
      log::error("objbench.failed", {{"item", one.title}, {"failures", one.failures}, {"last", one.error}});
      rows.push_back({one.title, "failed", "failed"});
      continue;
    }
    rows.push_back({one.title, fmt::format("{:.2f} {}", one.per_second, one.unit),
                    fmt::format("{} {}", cost_text(one.cost_ms), one.cost_unit)});
    latencies.push_back({one.title});
    for (double share : {0.5, 0.95, 0.99, 1.0}) latencies.back().push_back(cost_text(one.latency_ms(share)));
  }
  fmt::print("{}{}", text_table(rows), text_table(latencies));
}

json::object checks_json(const CheckOutcome& check) {
  return {{"category", check.category}, {"test", check.test}, {"result", check.result}, {"failed", check.failed}};
}

json::object load_json(const LoadOutcome& one) {
  if (!one.supported) return {{"item", one.title}, {"supported", false}};
  return {{"item", one.title},
          {"supported", true},
          {"requests", one.requests},
          {"failures", one.failures},
          {"error", one.error},
          {"seconds", one.seconds},
          {"value", one.per_second},
          {"unit", one.unit},
          {"cost_ms", one.cost_ms},
          {"p50_ms", one.latency_ms(0.5)},
          {"p95_ms", one.latency_ms(0.95)},
          {"p99_ms", one.latency_ms(0.99)},
          {"max_ms", one.latency_ms(1)}};
}

}  // namespace

Try<int> run_objbench(const Settings& settings) {
  TRY(auto options, load_options(settings));
  Runtime runtime({.loops = 0, .pin = true});
  runtime.start();
  TRY(auto store, open(settings, options.threads, runtime));
  bool as_json = settings.on("json");
  std::vector<CheckOutcome> checks;
  if (settings.on("skip-functional-tests")) {
    if (auto made = runtime.wait(store->create()); !made)
      return failure(fmt::format("the bucket {} cannot be made", store->describe()), made.error());
  } else {
    if (!as_json) fmt::print("Start Functional Testing ...\n");
    checks = check_store(*store, runtime);
    if (!as_json) print_checks(checks);
  }
  if (!as_json) fmt::print("Start Performance Testing ...\n");
  auto outcomes = load_store(*store, runtime, options);
  std::ignore = runtime.wait(store->remove(""));  // on a file store the directory of the test
  bool failed = std::ranges::any_of(checks, &CheckOutcome::failed) ||
                std::ranges::any_of(outcomes, [](const auto& one) { return one.failures > 0; });
  if (as_json) {
    json::array functional, performance;
    for (const auto& check : checks) functional.push_back(checks_json(check));
    for (const auto& one : outcomes) performance.push_back(load_json(one));
    fmt::print("{}\n", pretty_json(json::object{{"functional", functional}, {"performance", performance}}));
    return failed ? 1 : 0;
  }
  fmt::print(
      "Benchmark finished! block-size: {}, big-object-size: {}, small-object-size: {}, small-objects: {}, "
      "NumThreads: {}\n",
      short_size(options.block_bytes), short_size(settings.count("big-object-size")), short_size(options.small_bytes),
      options.small_count, options.threads);
  print_load(outcomes);
  return failed ? 1 : 0;
}

}  // namespace kiseki::cli
