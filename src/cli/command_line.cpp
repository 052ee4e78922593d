#include "cli/command_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace kiseki::cli {
namespace {

struct Word {
  std::string_view name;
  std::optional<std::string_view> value;
};

bool looks_like_flag(std::string_view word) { return word.starts_with('-'); }

Word split(std::string_view word) {
  word.remove_prefix(word.starts_with("--") ? 2 : 1);
  auto equals = word.find('=');
  if (equals == std::string_view::npos) return {word, std::nullopt};
  return {word.substr(0, equals), word.substr(equals + 1)};
}

const Flag* find_flag(Flags flags, std::string_view name) {
  auto at = std::ranges::find_if(flags, [&](const Flag& flag) { return is_named(flag, name); });
  return at == flags.end() ? nullptr : &*at;
}

const Flag* find_flag(const Verb* verb, std::string_view name) {
  if (verb) {
    if (const Flag* own = find_flag(verb->flags(), name)) return own;
  }
  return find_flag(global_flags(), name);
}

/// Before the verb is known: does a flag of this name, whosever it is, take a value?
bool takes_value_somewhere(std::string_view name) {
  if (const Flag* flag = find_flag(global_flags(), name)) return flag->type != FlagType::boolean;
  for (const Verb& verb : verbs()) {
    if (const Flag* flag = find_flag(verb.flags(), name)) return flag->type != FlagType::boolean;
  }
  return false;
}

/// Index of the verb: the first word that is neither a flag nor a flag's value.
std::size_t verb_at(const std::vector<std::string>& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (!looks_like_flag(words[i])) return i;
    Word word = split(words[i]);
    if (!word.value && takes_value_somewhere(word.name)) ++i;
  }
  return words.size();
}

Failure unknown_option(const Verb* verb, std::string_view word) {
  if (!verb) return Failure{Exit::failed, fmt::format("unknown option {}; see kiseki --help", word)};
  return Failure{Exit::failed,
                 fmt::format("unknown option {} of {}; see kiseki {} --help", word, verb->name, verb->name)};
}

/// Verbs of JuiceFS that we lack: what makes a volume ours is in its formats, so JuiceFS can do these meanwhile.
constexpr std::string_view kOnlyJuicefs[] = {"quota",  "destroy",   "gc",    "fsck",    "restore", "dump",    "load",
                                             "tier",   "changelog", "stats", "profile", "debug",   "summary", "bench",
                                             "warmup", "rmr",       "sync",  "clone",   "compact", "gateway", "webdav"};

Failure unknown_verb(std::string_view word) {
  bool theirs = std::ranges::find(kOnlyJuicefs, word) != std::end(kOnlyJuicefs);
  auto help = theirs ? fmt::format("kiseki cannot do it yet; `juicefs {}` works on the same volume", word)
                     : std::string("see kiseki --help");
  return Failure{Exit::unknown_verb, fmt::format("No help topic for '{}'; {}", word, help)};
}

bool asks_for_help(std::string_view verb) { return verb == "help" || verb == "h"; }

/// `help` and `help VERB` are `--help` and `VERB --help`.
Try<CommandLine> help_about(const std::vector<std::string>& words, std::size_t after) {
  CommandLine out;
  out.given.push_back({find_flag(nullptr, "help"), "help", "true"});
  if (after >= words.size()) return out;
  out.verb = find_verb(words[after]);
  if (!out.verb) return unknown_verb(words[after]);
  return out;
}

}  // namespace

Try<CommandLine> parse_command_line(const std::vector<std::string>& words) {
  CommandLine out;
  auto verb = verb_at(words);
  if (verb < words.size()) {
    if (asks_for_help(words[verb])) return help_about(words, verb + 1);
    out.verb = find_verb(words[verb]);
    if (!out.verb) return unknown_verb(words[verb]);
  }
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i == verb) continue;
    if (!looks_like_flag(words[i])) {
      out.arguments.push_back(words[i]);
      continue;
    }
    Word word = split(words[i]);
    const Flag* flag = find_flag(out.verb, word.name);
    if (!flag) return unknown_option(out.verb, words[i]);
    GivenFlag given{flag, words[i].substr(0, words[i].find('=')), ""};
    if (word.value) {
      given.text = *word.value;
    } else if (flag->type == FlagType::boolean) {
      given.text = "true";
    } else if (i + 1 < words.size()) {
      given.text = words[++i];
    } else {
      return Failure{Exit::failed,
                     fmt::format("{}: a value is missing; allowed: {}", given.origin, type_hint(flag->type))};
    }
    out.given.push_back(std::move(given));
  }
  return out;
}

}  // namespace kiseki::cli
