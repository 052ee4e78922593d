#include "cli/config_file.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/verb.hpp"

namespace kiseki::cli {
namespace {

const Flag* find_flag(Flags flags, std::string_view key) {
  auto at = std::ranges::find_if(flags, [&](const Flag& flag) { return is_named(flag, key); });
  return at == flags.end() ? nullptr : &*at;
}

std::string names_of(Flags flags) {
  std::string out;
  for (const Flag& flag : flags) {
    if (!flag.more.hidden) out += (out.empty() ? "" : ", ") + std::string(flag.name);
  }
  return out;
}

std::optional<std::string> text_of(const toml::node& node) {
  if (auto text = node.value_exact<std::string>()) return text;
  if (auto flag = node.value_exact<bool>()) return *flag ? "true" : "false";
  if (auto number = node.value_exact<std::int64_t>()) return std::to_string(*number);
  if (auto number = node.value_exact<double>()) return fmt::format("{}", *number);
  return std::nullopt;
}

struct Reader {
  const std::string& path;
  std::map<std::string, std::string, std::less<>>& values;

  Try<void> take(std::string_view table, Flags flags, std::string_view key, const toml::node& node) {
    std::string full = table.empty() ? std::string(key) : fmt::format("{}.{}", table, key);
    const Flag* flag = find_flag(flags, key);
    if (!flag)
      return Failure{Exit::failed, fmt::format("{}: {}: unknown key; allowed here: {}", path, full, names_of(flags))};
    auto text = text_of(node);
    if (!text)
      return Failure{Exit::failed, fmt::format("{}: {}: a list or table cannot stand here; allowed: {}", path, full,
                                               type_hint(flag->type))};
    if (auto value = parse_value(*flag, fmt::format("{}: {}", path, full), *text); !value) return value.error();
    values[table.empty() ? std::string(flag->name) : fmt::format("{}.{}", table, flag->name)] = *text;
    return boost::system::in_place_value;
  }

  Try<void> take_table(std::string_view name, const toml::table& table) {
    const Verb* verb = find_verb(name);
    if (!verb || !verb->outside_values) {
      std::string known;
      for (const Verb& one : verbs()) {
        if (one.outside_values && !one.flags().empty()) known += (known.empty() ? "" : ", ") + std::string(one.name);
      }
      return Failure{Exit::failed, fmt::format("{}: [{}]: unknown table; allowed: {}", path, name, known)};
    }
    for (auto&& [key, node] : table) {
      if (auto taken = take(name, verb->flags(), key.str(), node); !taken) return taken;
    }
    return boost::system::in_place_value;
  }

  Try<void> take_all(const toml::table& top) {
    for (auto&& [key, node] : top) {
      auto taken =
          node.is_table() ? take_table(key.str(), *node.as_table()) : take("", global_flags(), key.str(), node);
      if (!taken) return taken;
    }
    return boost::system::in_place_value;
  }
};

}  // namespace

Try<ConfigFile> ConfigFile::parse(std::string_view text, const std::string& path) {
  ConfigFile out;
  out.path_ = path;
  toml::table top;
  try {
    top = toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    return Failure{Exit::failed, fmt::format("{}: line {}: {}", path, error.source().begin.line, error.description())};
  }
  if (auto read = Reader{path, out.values_}.take_all(top); !read) return read.error();
  return out;
}

Try<ConfigFile> ConfigFile::load(const std::string& path) {
  if (std::error_code ignored; std::filesystem::is_directory(path, ignored))
    return failure(fmt::format("cannot read the configuration file {}", path), posix(EISDIR));
  std::ifstream in(path);
  std::stringstream text;
  if (!in || !(text << in.rdbuf())) {
    if (in.good() || in.eof()) return parse("", path);  // an empty file sets nothing
    return failure(fmt::format("cannot read the configuration file {}", path),
                   std::error_code(errno, std::generic_category()));
  }
  return parse(text.str(), path);
}

std::optional<std::string> ConfigFile::find(std::string_view table, std::string_view key) const {
  auto at = values_.find(table.empty() ? std::string(key) : fmt::format("{}.{}", table, key));
  if (at == values_.end()) return std::nullopt;
  return at->second;
}

}  // namespace kiseki::cli
