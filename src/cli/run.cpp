#include "cli/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "cli/command_line.hpp"
#include "cli/hidden_arguments.hpp"
#include "cli/io_backend.hpp"
#include "cli/locations.hpp"
#include "cli/logging.hpp"
#include "cli/settings.hpp"

namespace kiseki::cli {
namespace {

std::vector<std::string> words_of(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  std::string_view self = argc > 0 ? argv[0] : "kiseki";
  self.remove_prefix(self.rfind('/') + 1);
  return self.starts_with("mount.") ? words_of_mount_helper(words) : words;
}

bool asks(const CommandLine& line, std::string_view flag) {
  bool asked = false;
  for (const GivenFlag& given : line.given) {
    if (given.flag->name == flag) asked = given.text != "false";
  }
  return asked;
}

/// The file of --config, else $KISEKI_CONFIG, else the user's, else the machine's; none of these: an empty one.
Try<ConfigFile> load_config_file(const CommandLine& line) {
  std::string path;
  for (const GivenFlag& given : line.given) {
    if (given.flag->name == "config") path = given.text;
  }
  if (const char* named = std::getenv("KISEKI_CONFIG"); path.empty() && named) path = named;
  if (!path.empty()) return ConfigFile::load(path);
  for (const std::string& usual : usual_config_files()) {
    if (file_exists(usual)) return ConfigFile::load(usual);
  }
  return ConfigFile();
}

Try<int> refuse_count(const Verb& verb, std::size_t count) {
  fmt::print("kiseki {}: {} argument{} given, but it is: kiseki {} {}\nSee kiseki {} --help\n", verb.name, count,
             count == 1 ? "" : "s", verb.name, verb.arguments, verb.name);
  return 1;
}

/// "$MOUNTPOINT" of a script that forgot to set it.
Try<void> check_arguments(const CommandLine& line) {
  if (std::ranges::find(line.arguments, "") == line.arguments.end()) return boost::system::in_place_value;
  return Failure{Exit::failed,
                 fmt::format("an argument is empty, but it is: kiseki {} {}", line.verb->name, line.verb->arguments)};
}

void warn_of_no_effect(const Settings& settings) {
  std::string names;
  for (const auto& name : settings.without_effect()) names += (names.empty() ? "--" : ", --") + name;
  if (!names.empty()) log::warn("cli.no_effect_yet", {{"flags", names}});
}

Try<int> run_words(const std::vector<std::string>& words) {
  TRY(CommandLine line, parse_command_line(words));
  if (asks(line, "version")) return run_version(Settings());
  if (!line.verb || asks(line, "help")) {
    std::fputs((line.verb ? help_of(*line.verb) : help_of_program()).c_str(), stdout);
    return 0;
  }
  if (auto count = line.arguments.size();
      count < static_cast<std::size_t>(line.verb->least) || count > static_cast<std::size_t>(line.verb->most)) {
    return refuse_count(*line.verb, count);
  }
  TRY_CHECK(check_arguments(line));
  TRY(ConfigFile file, load_config_file(line));
  TRY(Settings settings,
      Settings::resolve(std::move(line), [](const std::string& name) { return std::getenv(name.c_str()); }, file));
  TRY_CHECK(start_logging(settings));
  warn_of_no_effect(settings);
  return settings.verb().run(settings);
}

}  // namespace

int run(int argc, char** argv) {
  remember_arguments(argc, argv);
  try {
    auto words = words_of(argc, argv);
    hide_secrets(argc, argv);
    auto code = run_words(words);
    std::fflush(stdout);
    if (code) return *code;
    fmt::print(stderr, "{}{}\n", code.error().exit == Exit::unknown_verb ? "" : "kiseki: ", code.error().sentence);
    return static_cast<int>(code.error().exit);
  } catch (const std::exception& bug) {
    fmt::print(stderr, "kiseki: unexpected: {}\n", bug.what());
    return 1;
  }
}

}  // namespace kiseki::cli
