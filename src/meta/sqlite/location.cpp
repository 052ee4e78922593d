#include "meta/sqlite/location.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cctype>

#include "core/numbers.hpp"

namespace kiseki::meta::sqlite {
namespace {

constexpr std::string_view kScheme = "sqlite3://";

Failure bad(std::string why) { return {std::make_error_code(std::errc::invalid_argument), std::move(why)}; }

std::string upper(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return out;
}

/// One of the words SQLite knows, or a number that stands for it.
Explained<std::string> word(std::string_view key, std::string_view value, std::initializer_list<std::string_view> words,
                            bool numbered) {
  auto wanted = upper(value);
  std::size_t index = 0;
  for (auto known : words) {
    if (wanted == known || (numbered && wanted == std::to_string(index))) return std::string(known);
    ++index;
  }
  return bad(fmt::format("{}={} in the metadata URL: allowed are {}", key, value, fmt::join(words, ", ")));
}

Explained<std::string> table_prefix(std::string_view value) {
  bool fine = !value.empty() && std::ranges::all_of(value, [](unsigned char c) { return std::isalnum(c) || c == '_'; });
  if (!fine) return bad(fmt::format("table_prefix={} in the metadata URL: only letters, digits and '_'", value));
  return "jfs_" + std::string(value) + "_";
}

Explained<std::chrono::milliseconds> patience(std::string_view key, std::string_view value) {
  auto ms = whole_number<std::uint64_t>(value);
  if (!ms || *ms > 86'400'000)
    return bad(fmt::format("{}={} in the metadata URL: milliseconds from 0 to 86400000", key, value));
  return std::chrono::milliseconds(*ms);
}

/// Keys that tune JuiceFS's driver or pool and mean nothing to us.
bool without_effect(std::string_view key) {
  constexpr std::string_view kKeys[] = {"cache",          "_txlock",       "max_open_conns",
                                        "max_idle_conns", "max_idle_time", "max_life_time"};
  return std::ranges::find(kKeys, key) != std::end(kKeys);
}

template <class T>
Explained<void> into(T& out, Explained<T> value) {
  if (!value) return value.error();
  out = std::move(*value);
  return {};
}

Explained<void> set(Location& to, std::string_view key, std::string_view value) {
  if (key == "table_prefix") return into(to.prefix, table_prefix(value));
  if (key == "_journal" || key == "_journal_mode")
    return into(to.journal, word(key, value, {"WAL", "DELETE", "TRUNCATE", "PERSIST", "MEMORY", "OFF"}, false));
  if (key == "_sync" || key == "_synchronous")
    return into(to.synchronous, word(key, value, {"OFF", "NORMAL", "FULL", "EXTRA"}, true));
  if (key == "_timeout" || key == "_busy_timeout") return into(to.patience, patience(key, value));
  if (without_effect(key)) return {};
  return bad(
      fmt::format("unknown key \"{}\" in the metadata URL; known are table_prefix, _journal, _sync, _timeout", key));
}

}  // namespace

Explained<Location> Location::parse(std::string_view url) {
  if (!url.starts_with(kScheme)) return bad(fmt::format("not a sqlite3:// URL: {}", url));
  url.remove_prefix(kScheme.size());
  auto question = url.find('?');
  Location location;
  location.path = url.substr(0, question);
  if (location.path.empty()) return bad("sqlite3:// needs the path of a file, as in sqlite3:///var/lib/volume.db");
  if (question == std::string_view::npos) return location;
  for (auto query = url.substr(question + 1); !query.empty();) {
    auto cut = query.find('&');
    auto pair = query.substr(0, cut);
    query = cut == std::string_view::npos ? std::string_view() : query.substr(cut + 1);
    auto equals = pair.find('=');
    auto key = pair.substr(0, equals);
    auto value = equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    if (auto ok = set(location, key, value); !ok) return ok.error();
  }
  return location;
}

}  // namespace kiseki::meta::sqlite
