// loadgen ROW --dir DIR [options]: runs one row of file system calls and prints its result as one line of JSON.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <stdexcept>

#include "run.hpp"

namespace {

using loadgen::Options;

constexpr const char* kUsage =
    "usage: loadgen ROW --dir DIR [--threads N] [--seconds S | --count N] [--size BYTES] [--prefix P]\n"
    "               [--rounds N] [--drop COMMAND] [--private-dirs]\n"
    "rows: prepare stat open_close create_unlink mkdir rename write_files read_files ls_f ls_l tree\n";

std::uint64_t number(const char* option, const char* text) {
  char* end = nullptr;
  const auto value = std::strtoull(text, &end, 10);
  if (end == text || *end != '\0') throw std::runtime_error(std::string(option) + ": not a number: " + text);
  return value;
}

Options parse(int argc, char** argv) {
  Options options;
  if (argc < 2) throw std::runtime_error("no row given");
  options.row = argv[1];
  const std::map<std::string, std::function<void(const char*)>> with_value = {
      {"--dir", [&](const char* v) { options.dir = v; }},
      {"--threads", [&](const char* v) { options.threads = static_cast<unsigned>(number("--threads", v)); }},
      {"--seconds", [&](const char* v) { options.seconds = std::strtod(v, nullptr); }},
      {"--count", [&](const char* v) { options.count = number("--count", v); }},
      {"--size", [&](const char* v) { options.size = number("--size", v); }},
      {"--prefix", [&](const char* v) { options.prefix = v; }},
      {"--rounds", [&](const char* v) { options.rounds = static_cast<unsigned>(number("--rounds", v)); }},
      {"--drop", [&](const char* v) { options.drop = v; }},
  };
  for (int i = 2; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--private-dirs") {
      options.private_dirs = true;
    } else if (auto option = with_value.find(name); option != with_value.end() && i + 1 < argc) {
      option->second(argv[++i]);
    } else {
      throw std::runtime_error("unknown option or missing value: " + name);
    }
  }
  if (options.dir.empty()) throw std::runtime_error("--dir is needed");
  if (options.threads == 0) throw std::runtime_error("--threads must be at least 1");
  return options;
}

void print(const Options& options, const loadgen::Outcome& outcome) {
  const double rate = outcome.seconds > 0 ? static_cast<double>(outcome.operations) / outcome.seconds : 0;
  std::printf(
      "{\"row\": \"%s\", \"threads\": %u, \"ops\": %llu, \"errors\": %llu, \"error\": \"%s\", \"seconds\": %.6f, "
      "\"per_second\": %.3f, \"p50_us\": %.3f, \"p99_us\": %.3f}\n",
      options.row.c_str(), options.threads, static_cast<unsigned long long>(outcome.operations),
      static_cast<unsigned long long>(outcome.errors), outcome.errors != 0 ? std::strerror(outcome.first_errno) : "",
      outcome.seconds, rate, outcome.latency.quantile_us(0.5), outcome.latency.quantile_us(0.99));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const auto options = parse(argc, argv);
    const auto outcome = loadgen::run_row(options);
    print(options, outcome);
    return outcome.errors == 0 ? 0 : 1;
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "loadgen: %s\n%s", problem.what(), kUsage);
    return 2;
  }
}
