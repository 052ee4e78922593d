#include "cli/flag.hpp"

#include <fmt/format.h>

#include <cctype>

namespace kiseki::cli {

std::vector<std::string_view> aliases_of(const Flag& flag) {
  std::vector<std::string_view> out;
  for (std::string_view rest = flag.aliases; !rest.empty();) {
    auto comma = rest.find(',');
    out.push_back(rest.substr(0, comma));
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  return out;
}

bool is_named(const Flag& flag, std::string_view word) {
  if (flag.name == word) return true;
  for (auto alias : aliases_of(flag)) {
    if (alias == word) return true;
  }
  return false;
}

std::string environment_name(const Flag& flag) {
  std::string out = "KISEKI_";
  for (char c : flag.name) out += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

std::string_view type_hint(FlagType type) {
  switch (type) {
    case FlagType::boolean:
      return "true or false";
    case FlagType::text:
      return "text";
    case FlagType::integer:
      return "a whole number";
    case FlagType::count:
      return "a whole number, 0 or more";
    case FlagType::size:
      return "a number with an optional unit B K M G T P E (powers of 1024), such as 300M";
    case FlagType::duration:
      return "seconds, or a number with a unit ns us ms s m h d, such as 90, 100ms or 1h30m";
    case FlagType::rate:
      return "Mbps, or a number with a unit M G T P (powers of 1000), such as 200 or 1G";
    case FlagType::ratio:
      return "a share from 0 to 1, such as 0.1 or 10%";
    case FlagType::octal:
      return "an octal number, such as 0600";
  }
  return "";
}

}  // namespace kiseki::cli
