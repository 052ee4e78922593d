#include "cli/settings.hpp"

#include <fmt/format.h>

#include <stdexcept>

namespace kiseki::cli {

Try<void> Settings::take(const Flag& flag, Source source, std::string origin, std::string_view text) {
  auto value = parse_value(flag, origin, text);
  if (!value) return value.error();
  entries_.insert_or_assign(flag.name, Entry{&flag, std::move(*value), source, std::move(origin)});
  return boost::system::in_place_value;
}

Try<void> Settings::take_defaults(const Flag& flag, const Environment& environment, const ConfigFile& file) {
  entries_.insert_or_assign(flag.name, Entry{&flag, {}, Source::fallback, ""});
  if (!flag.fallback.empty()) TRY_CHECK(take(flag, Source::fallback, fmt::format("--{}", flag.name), flag.fallback));
  bool global = !file.path().empty() && file.find("", flag.name) && &flag >= global_flags().data() &&
                &flag < global_flags().data() + global_flags().size();
  if (verb_->outside_values || global) {
    std::string_view table = global ? std::string_view() : verb_->name;
    if (auto text = file.find(table, flag.name)) {
      auto key = table.empty() ? std::string(flag.name) : fmt::format("{}.{}", table, flag.name);
      TRY_CHECK(take(flag, Source::file, fmt::format("{}: {}", file.path(), key), *text));
    }
  }
  if (!verb_->outside_values) return boost::system::in_place_value;
  for (const std::string& name : {std::string(flag.more.env), environment_name(flag)}) {
    const char* text = name.empty() ? nullptr : environment(name);
    if (text && *text) TRY_CHECK(take(flag, Source::environment, name, text));
  }
  return boost::system::in_place_value;
}

/// `-o` counts as the command line; words after it on the same line still win, since "last wins" holds among them.
Try<void> Settings::take_mount_options(const std::vector<GivenFlag>& given) {
  std::string list = entries_.contains("o") && entries_.at("o").source != Source::command_line ? text("o") : "";
  for (const GivenFlag& one : given) {
    if (one.flag->name == "o") list += (list.empty() ? "" : ",") + one.text;
  }
  auto options = parse_mount_options(list);
  if (!options) return options.error();
  mount_options_ = std::move(*options);
  for (const GivenFlag& one : mount_options_.flags) {
    TRY_CHECK(take(*one.flag, Source::command_line, one.origin, one.text));
  }
  return boost::system::in_place_value;
}

Try<Settings> Settings::resolve(CommandLine line, const Environment& environment, const ConfigFile& file) {
  Settings out;
  out.verb_ = line.verb;
  out.arguments_ = std::move(line.arguments);
  for (Flags flags : {global_flags(), line.verb->flags()}) {
    for (const Flag& flag : flags) TRY_CHECK(out.take_defaults(flag, environment, file));
  }
  if (out.entries_.contains("o")) TRY_CHECK(out.take_mount_options(line.given));
  for (const GivenFlag& given : line.given) {
    TRY_CHECK(out.take(*given.flag, Source::command_line, given.origin, given.text));
  }
  return out;
}

const Settings::Entry& Settings::entry(std::string_view name) const {
  auto at = entries_.find(name);
  if (at == entries_.end()) throw std::logic_error(fmt::format("kiseki {} has no flag {}", verb_->name, name));
  return at->second;
}

Source Settings::source(std::string_view name) const { return entry(name).source; }
std::string Settings::origin(std::string_view name) const { return entry(name).origin; }

std::vector<std::string> Settings::without_effect() const {
  std::vector<std::string> out;
  for (const auto& [name, entry] : entries_) {
    bool says_default = entry.flag->type == FlagType::boolean && entry.value == Value(false);
    if (entry.source != Source::fallback && entry.flag->more.effect == Effect::none_yet && !says_default)
      out.emplace_back(name);
  }
  return out;
}

}  // namespace kiseki::cli
