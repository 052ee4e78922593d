// Every flag of JuiceFS's verbs that we have is known, with its default and spellings.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <set>

#include "cli/config_file.hpp"
#include "cli/verb.hpp"

namespace kiseki::cli {
namespace {

std::vector<std::string> split(const std::string& line, char by) {
  std::vector<std::string> out(1);
  for (char c : line) {
    if (c == by) {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

struct Row {
  std::string verb, flag, type, fallback, env;
  std::vector<std::string> aliases;
};

std::vector<Row> read_rows(std::istream& in) {
  std::vector<Row> rows;
  std::string line;
  std::getline(in, line);
  while (std::getline(in, line)) {
    auto cells = split(line, '\t');
    if (cells.size() < 9) continue;
    rows.push_back({cells[0], cells[1], cells[3], cells[4], cells[5], split(cells[2], ',')});
  }
  return rows;
}

std::string flags_file() {
  const char* shared = std::getenv("KISEKI_SHARED");
  return (shared ? std::string(shared) : std::string(KISEKI_SOURCE_DIR "/../shared")) + "/juicefs/flags.tsv";
}

Flags flags_of(const std::string& verb) { return verb == "(any)" ? global_flags() : find_verb(verb)->flags(); }

const Flag* find(Flags flags, const std::string& word) {
  for (const Flag& flag : flags) {
    if (is_named(flag, word)) return &flag;
  }
  return nullptr;
}

// Defaults of ours that differ on purpose: our own log file; 1 MiB requests, which the kernel serves faster.
const std::map<std::string, std::string> kOtherDefaults = {{"mount --log", "/var/log/kiseki.log"},
                                                           {"mount --max-fuse-io", "1M"}};

FlagType type_named(const std::string& name) {
  static const std::map<std::string, FlagType> types = {
      {"bool", FlagType::boolean},    {"string", FlagType::text}, {"int", FlagType::integer},
      {"uint", FlagType::count},      {"size", FlagType::size},   {"duration", FlagType::duration},
      {"rate(Mbps)", FlagType::rate}, {"float", FlagType::ratio}};
  return types.at(name);
}

TEST(FlagTable, KnowsEveryFlagOfTheReference) {
  std::ifstream in(flags_file());
  if (!in) GTEST_SKIP() << "SKIPPED: " << flags_file() << " is not here (set KISEKI_SHARED)";
  std::size_t checked = 0;
  for (const Row& row : read_rows(in)) {
    bool ours = row.verb == "(any)" || find_verb(row.verb);
    if (!ours) continue;
    SCOPED_TRACE(row.verb + " --" + row.flag);
    const Flag* flag = find(flags_of(row.verb), row.flag);
    ASSERT_TRUE(flag) << "not accepted";
    ++checked;
    for (const auto& alias : row.aliases) EXPECT_TRUE(alias.empty() || is_named(*flag, alias)) << "alias " << alias;
    bool octal = flag->type == FlagType::octal && row.type == "string";
    EXPECT_TRUE(octal || flag->type == type_named(row.type)) << row.type;
    auto other = kOtherDefaults.find(row.verb + " --" + row.flag);
    auto fallback = other == kOtherDefaults.end() ? row.fallback : other->second;
    EXPECT_EQ(flag->fallback, fallback);
    EXPECT_TRUE(flag->more.env == row.env || flag->more.about_env == row.env) << row.env;
  }
  EXPECT_GT(checked, 130u);
}

TEST(FlagTable, DefaultsAreValidAndNamesAreUnique) {
  for (const Verb& verb : verbs()) {
    std::set<std::string_view> seen;
    for (Flags flags : {global_flags(), verb.flags()}) {
      for (const Flag& flag : flags) {
        EXPECT_FALSE(flag.help.empty()) << flag.name;
        EXPECT_TRUE(seen.insert(flag.name).second || flags.data() == global_flags().data())
            << verb.name << " --" << flag.name;
        for (auto alias : aliases_of(flag)) EXPECT_TRUE(seen.insert(alias).second) << verb.name << " -" << alias;
        if (flag.fallback.empty()) continue;
        EXPECT_TRUE(parse_value(flag, flag.name, flag.fallback)) << flag.name;
      }
    }
  }
}

TEST(FlagTable, TheSampleConfigurationIsValidAndComplete) {
  std::ifstream in(KISEKI_SOURCE_DIR "/conf/kiseki.toml");
  ASSERT_TRUE(in);
  std::string as_it_is, all_set, table;
  std::set<std::string> keys;
  for (std::string line; std::getline(in, line);) {
    as_it_is += line + "\n";
    bool setting = line.size() > 2 && line[0] == '#' && line[1] != ' ' && line.find(" = ") != std::string::npos;
    if (setting) {
      line.erase(0, 1);
      keys.insert(table + line.substr(0, line.find(' ')));
    }
    if (line.starts_with("[")) table = line.substr(1, line.find(']') - 1) + ".";
    all_set += line + "\n";
  }
  auto plain = ConfigFile::parse(as_it_is, "kiseki.toml");
  EXPECT_TRUE(plain) << plain.error().sentence;
  auto full = ConfigFile::parse(all_set, "kiseki.toml");
  ASSERT_TRUE(full) << full.error().sentence;
  for (const Verb& verb : verbs()) {
    if (!verb.outside_values) continue;
    for (const Flag& flag : verb.flags()) {
      if (flag.more.hidden && flag.name == "foreground") continue;
      EXPECT_TRUE(keys.contains(std::string(verb.name) + "." + std::string(flag.name)))
          << verb.name << "." << flag.name << " is not explained";
    }
  }
}

TEST(FlagTable, HelpNamesEveryFlagAndShowsExamples) {
  for (const Verb& verb : verbs()) {
    auto help = help_of(verb);
    for (const Flag& flag : verb.flags()) {
      if (!flag.more.hidden) EXPECT_NE(help.find(flag.name), std::string::npos) << verb.name << " " << flag.name;
    }
    EXPECT_NE(help.find("EXAMPLES\n  "), std::string::npos) << verb.name;
    EXPECT_NE(help.find("USAGE"), std::string::npos);
  }
}

}  // namespace
}  // namespace kiseki::cli
