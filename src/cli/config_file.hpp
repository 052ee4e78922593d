#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "cli/failure.hpp"

namespace kiseki::cli {

/// A TOML file: flags of every verb at the top level, flags of one verb in a table of its name:
///   log-format = "json"
///   [mount]
///   buffer-size = "1G"
class ConfigFile {
 public:
  ConfigFile() = default;
  /// Reads and checks every key, those of other verbs too: an unknown one is an error that names it.
  static Try<ConfigFile> load(const std::string& path);
  static Try<ConfigFile> parse(std::string_view text, const std::string& path);

  /// Text of a value, as the command line would spell it. `table` is the verb, empty for flags of every verb.
  std::optional<std::string> find(std::string_view table, std::string_view key) const;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::map<std::string, std::string, std::less<>> values_;  ///< "mount.buffer-size", "log-format"
};

}  // namespace kiseki::cli
