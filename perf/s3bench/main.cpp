// Uploads or downloads objects of one size as fast as the server lets it, with our S3 store or with plain sockets, and
// prints one line of JSON: throughput, latencies, and the processor seconds this client spent on each gigabyte.
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <string>

#include "load.hpp"

namespace {

constexpr const char* kUsage =
    "usage: s3bench http://HOST:PORT/BUCKET get|put [--client=store|raw] [--size=4194304] [--at-once=8]\n"
    "               [--objects=64] [--seconds=5] [--loops=0] [--key=TESTKEY] [--secret=TESTSECRET] "
    "[--region=us-east-1]\n"
    "  raw get reads what a store get of the same size has made before.\n";

std::map<std::string, std::string> parse(int argc, char** argv) {
  std::map<std::string, std::string> out{{"client", "store"}, {"size", "4194304"},      {"at-once", "8"},
                                         {"objects", "64"},   {"seconds", "5"},         {"loops", "0"},
                                         {"key", "TESTKEY"},  {"secret", "TESTSECRET"}, {"region", "us-east-1"}};
  for (int i = 3; i < argc; ++i) {
    std::string word = argv[i];
    auto equals = word.find('=');
    auto name = word.substr(word.starts_with("--") ? 2 : 0, equals - (word.starts_with("--") ? 2 : 0));
    if (equals == std::string::npos || !out.contains(name)) {
      std::fputs(kUsage, stderr);
      std::exit(2);
    }
    out[name] = word.substr(equals + 1);
  }
  return out;
}

}  // namespace

double s3bench::cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

std::string s3bench::short_key_of(const Load& load, std::uint64_t number) {
  return "chunks/0/0/" + std::to_string(number) + "_0_" + std::to_string(load.size);
}

std::string s3bench::key_of(const Load& load, std::uint64_t number) { return "s3bench/" + short_key_of(load, number); }

int main(int argc, char** argv) {
  if (argc < 3) return std::fputs(kUsage, stderr), 2;
  auto options = parse(argc, argv);
  auto number = [&](const char* name) { return std::strtoul(options[name].c_str(), nullptr, 10); };
  s3bench::Load load;
  load.endpoint = argv[1];
  load.get = std::string(argv[2]) == "get";
  load.access_key = options["key"], load.secret_key = options["secret"], load.region = options["region"];
  load.size = number("size");
  load.at_once = static_cast<unsigned>(number("at-once"));
  load.objects = static_cast<unsigned>(number("objects"));
  load.loops = static_cast<unsigned>(number("loops"));
  load.seconds = std::strtod(options["seconds"].c_str(), nullptr);
  try {
    auto done = options["client"] == "raw" ? s3bench::run_raw(load) : s3bench::run_store(load);
    auto gigabytes = static_cast<double>(done.requests - done.failures) * static_cast<double>(load.size) / 1e9;
    std::printf(
        "{\"client\": \"%s\", \"verb\": \"%s\", \"size\": %zu, \"at_once\": %u, \"requests\": %llu, \"failures\": "
        "%llu, \"gb_per_s\": %.3f, \"mib_per_s\": %.1f, \"requests_per_s\": %.0f, \"cpu_s_per_gb\": %.3f, "
        "\"cpu_us_per_request\": %.1f, \"p50_us\": %.0f, \"p99_us\": %.0f}\n",
        options["client"].c_str(), argv[2], load.size, load.at_once, static_cast<unsigned long long>(done.requests),
        static_cast<unsigned long long>(done.failures), gigabytes / done.seconds,
        gigabytes * 1e9 / (1 << 20) / done.seconds, static_cast<double>(done.requests) / done.seconds,
        done.cpu_seconds / gigabytes, done.cpu_seconds * 1e6 / static_cast<double>(done.requests),
        done.latency.quantile_us(0.5), done.latency.quantile_us(0.99));
    if (done.failures > 0) std::fprintf(stderr, "s3bench: %s\n", done.error.c_str());
    return done.failures > 0;
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "s3bench: %s\n", problem.what());
    return 1;
  }
}
