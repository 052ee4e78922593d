// Flags of `kiseki mdtest`: its own, and those of a mount that are about the client and not about the kernel.
#include <algorithm>
#include <iterator>
#include <vector>

#include "cli/flag.hpp"

namespace kiseki::cli {
namespace {

constexpr Flag kOwn[] = {
    {"threads", "", FlagType::integer, "1", "files are created by so many at a time", "LOAD", {.allowed = "1..10000"}},
    {"dirs", "", FlagType::integer, "3", "directories in each directory", "LOAD", {.allowed = "0..100000"}},
    {"depth", "", FlagType::integer, "2", "levels of directories", "LOAD", {.allowed = "0..64"}},
    {"files", "", FlagType::integer, "10", "files in each directory, for each thread", "LOAD", {.allowed = "0.."}},
    {"write", "", FlagType::integer, "0", "bytes recorded for each file; none are stored", "LOAD", {.allowed = "0.."}},
    {"access-log", "", FlagType::text, "", "write every operation to this file", "LOAD", {.effect = Effect::none_yet}},
};

/// What mdtest heeds of a mount's flags.
bool is_heeded(std::string_view name) {
  constexpr std::string_view kHeeded[] = {"subdir",         "heartbeat",      "no-bgjob",
                                          "skip-dir-mtime", "skip-dir-nlink", "no-usage-report"};
  return std::ranges::find(kHeeded, name) != std::end(kHeeded);
}

std::vector<Flag> make_table() {
  std::vector<Flag> table(std::begin(kOwn), std::end(kOwn));
  for (Flag flag : mount_flags()) {
    if (flag.group == "PROCESS" || flag.group == "FILE SYSTEM") continue;
    if (!is_heeded(flag.name)) flag.more.effect = Effect::none_yet;
    if (flag.name == "entry-cache") flag.fallback = "0.0s";
    table.push_back(flag);
  }
  return table;
}

}  // namespace

Flags mdtest_flags() {
  static const std::vector<Flag> table = make_table();
  return table;
}

}  // namespace kiseki::cli
