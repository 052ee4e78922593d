#include <fmt/format.h>

#include <optional>

#include "cli/flag.hpp"
#include "core/numbers.hpp"
#include "core/units.hpp"

namespace kiseki::cli {
namespace {

template <class T>
Value taken(const units::Parsed<T>& parsed) {
  return parsed ? Value(*parsed) : Value();
}

std::uint64_t unit_bytes(char unit) {
  auto power = std::string_view("BKMGTPE").find(unit);
  return std::uint64_t{1} << (10 * power);
}

/// Mbps, as flags and formats count.
Value parse_rate(std::string_view text) {
  auto bits = units::parse_bit_rate(text);
  return bits ? Value(static_cast<std::int64_t>(*bits / 1'000'000)) : Value();
}

std::optional<bool> parse_boolean(std::string_view text) {
  for (auto yes : {"true", "1", "t", "T", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (auto no : {"false", "0", "f", "F", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

template <class T>
Value boxed(std::optional<T> value) {
  return value ? Value(*value) : Value();
}

Value parse(const Flag& flag, std::string_view text) {
  switch (flag.type) {
    case FlagType::boolean:
      return boxed(parse_boolean(text));
    case FlagType::text:
      return std::string(text);
    case FlagType::integer:
      return boxed(whole_number<std::int64_t>(text));
    case FlagType::count:
      return boxed(whole_number<std::uint64_t>(text));
    case FlagType::size:
      return taken(units::parse_size(text, unit_bytes(flag.more.unit)));
    case FlagType::duration:
      return taken(units::parse_duration(text));
    case FlagType::rate:
      return parse_rate(text);
    case FlagType::ratio:
      return taken(units::parse_share(text));
    case FlagType::octal: {
      auto bits = whole_number<std::uint64_t>(text, 8);
      return bits && *bits <= 07777 ? Value(*bits) : Value();
    }
  }
  return {};
}

bool is_range(std::string_view allowed) { return allowed.find("..") != std::string_view::npos; }

bool in_range(const Flag& flag, const Value& value) {
  auto dots = flag.more.allowed.find("..");
  auto low = flag.more.allowed.substr(0, dots), high = flag.more.allowed.substr(dots + 2);
  if (!low.empty() && value < parse(flag, low)) return false;
  return high.empty() || value <= parse(flag, high);
}

bool among(std::string_view words, std::string_view text) {
  while (!words.empty()) {
    auto bar = words.find('|');
    if (words.substr(0, bar) == text) return true;
    words = bar == std::string_view::npos ? std::string_view() : words.substr(bar + 1);
  }
  return false;
}

std::string commas(std::string_view words) {
  std::string out;
  for (char c : words) out += c == '|' ? std::string(", ") : std::string(1, c);
  return out;
}

std::string range_words(const Flag& flag) {
  auto dots = flag.more.allowed.find("..");
  auto low = flag.more.allowed.substr(0, dots), high = flag.more.allowed.substr(dots + 2);
  if (high.empty()) return fmt::format("{} or more", low);
  if (low.empty()) return fmt::format("up to {}", high);
  return fmt::format("from {} to {}", low, high);
}

}  // namespace

Try<Value> parse_value(const Flag& flag, std::string_view origin, std::string_view text) {
  Value value = parse(flag, text);
  if (value.index() == 0) {
    return Failure{Exit::failed,
                   fmt::format("{}: \"{}\" is not valid; allowed: {}", origin, text, type_hint(flag.type))};
  }
  if (flag.more.needed && text.empty())
    return Failure{Exit::failed, fmt::format("{}: a value is missing; allowed: {}", origin, flag.help)};
  if (flag.more.allowed.empty()) return value;
  if (!is_range(flag.more.allowed)) {
    if (among(flag.more.allowed, text)) return value;
    return Failure{Exit::failed,
                   fmt::format("{}: \"{}\" is not valid; allowed: {}", origin, text, commas(flag.more.allowed))};
  }
  if (in_range(flag, value)) return value;
  return Failure{Exit::failed, fmt::format("{}: {} is out of range; allowed: {}", origin, text, range_words(flag))};
}

}  // namespace kiseki::cli
