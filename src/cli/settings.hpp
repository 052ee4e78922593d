#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command_line.hpp"
#include "cli/config_file.hpp"

namespace kiseki::cli {

enum class Source : std::uint8_t { fallback, file, environment, command_line };

/// Every setting of one run, each checked: flag > environment > configuration file > default.
class Settings {
 public:
  /// Looks a variable up: std::getenv, or a test's map. nullptr: not set.
  using Environment = std::function<const char*(const std::string& name)>;

  static Try<Settings> resolve(CommandLine line, const Environment& environment, const ConfigFile& file);

  const Verb& verb() const { return *verb_; }
  const std::vector<std::string>& arguments() const { return arguments_; }
  const MountOptions& mount_options() const { return mount_options_; }

  /// Given by anybody: not the default. Exception: an empty value in the environment counts as not given.
  bool given(std::string_view name) const { return source(name) != Source::fallback; }
  Source source(std::string_view name) const;
  /// As the user spelled the origin: "--bucket", "KISEKI_BUCKET", "FILE: mount.bucket".
  std::string origin(std::string_view name) const;

  // Each asks for a flag of the verb's table by its long name and the type it has there; anything else is a bug
  // (throws).
  bool on(std::string_view name) const { return as<bool>(name, false); }
  std::string text(std::string_view name) const { return as<std::string>(name, {}); }
  std::int64_t integer(std::string_view name) const { return as<std::int64_t>(name, 0); }
  std::uint64_t count(std::string_view name) const { return as<std::uint64_t>(name, 0); }
  std::chrono::nanoseconds duration(std::string_view name) const { return as<std::chrono::nanoseconds>(name, {}); }
  double ratio(std::string_view name) const { return as<double>(name, 0); }

  /// Long names of flags that were given and have no effect yet.
  std::vector<std::string> without_effect() const;

 private:
  struct Entry {
    const Flag* flag;
    Value value;
    Source source;
    std::string origin;
  };
  const Entry& entry(std::string_view name) const;
  template <class T>
  T as(std::string_view name, T otherwise) const {
    const Value& value = entry(name).value;
    return value.index() == 0 ? otherwise : std::get<T>(value);
  }
  Try<void> take(const Flag& flag, Source source, std::string origin, std::string_view text);
  Try<void> take_defaults(const Flag& flag, const Environment& environment, const ConfigFile& file);
  Try<void> take_mount_options(const std::vector<GivenFlag>& given);

  const Verb* verb_ = nullptr;
  std::vector<std::string> arguments_;
  std::map<std::string_view, Entry> entries_;
  MountOptions mount_options_;
};

}  // namespace kiseki::cli
