#include "core/units.hpp"

#include <spdlog/fmt/fmt.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

namespace kiseki::units {
namespace {

/// Digits with at most one point among them, as a number of `scale`; exact for whole numbers. Takes them off `text`.
struct Number {
  std::uint64_t whole = 0;
  long double fraction = 0;
};

std::optional<Number> take_number(std::string_view& text) {
  Number number;
  auto* begin = text.data();
  auto* end = begin + text.size();
  auto* at = begin;
  auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  bool digits = false;
  if (at != end && is_digit(*at)) {
    auto [rest, error] = std::from_chars(at, end, number.whole);
    if (error != std::errc()) return std::nullopt;
    at = rest;
    digits = true;
  }
  if (at != end && *at == '.') {
    ++at;
    for (long double place = 0.1L; at != end && is_digit(*at); ++at, place /= 10) {
      number.fraction += place * static_cast<long double>(*at - '0');
      digits = true;
    }
  }
  if (!digits) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(at - begin));
  return number;
}

/// number * scale, rounded down; nothing when it passes `limit`.
std::optional<std::uint64_t> scaled(const Number& number, std::uint64_t scale, std::uint64_t limit) {
  std::uint64_t whole = 0;
  if (__builtin_mul_overflow(number.whole, scale, &whole) || whole > limit) return std::nullopt;
  // 1e-9: the error of summing decimal places must not turn 0.7 * 10 into 6.
  auto part = static_cast<std::uint64_t>(number.fraction * static_cast<long double>(scale) + 1e-9L);
  if (part > limit - whole) return std::nullopt;
  return whole + part;
}

/// Power of `base` that the letter stands for among "BKMGTPE" from `first` on.
std::optional<std::uint64_t> power_of(char letter, std::string_view letters, std::uint64_t base) {
  auto at = letters.find(letter);
  if (at == std::string_view::npos) return std::nullopt;
  std::uint64_t power = 1;
  while (at-- > 0) power *= base;
  return power;
}

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

constexpr std::uint64_t kMaxBytes = std::numeric_limits<std::int64_t>::max();

std::string size_help(std::string_view text, std::uint64_t bare_unit) {
  auto unit = bare_unit == kKiB   ? "KiB"
              : bare_unit == kMiB ? "MiB"
              : bare_unit == kGiB ? "GiB"
              : bare_unit == kTiB ? "TiB"
                                  : "bytes";
  return fmt::format(
      "\"{}\" is not a size: a number (decimals allowed) followed by one of B K M G T P E, powers of 1024; without a "
      "letter it counts {}; at most 8E",
      text, unit);
}

std::optional<std::uint64_t> nanoseconds_of(std::string_view unit) {
  struct Entry {
    std::string_view name;
    std::uint64_t nanoseconds;
  };
  constexpr std::uint64_t kSecond = 1'000'000'000;
  constexpr Entry kUnits[] = {{"ns", 1},           {"us", 1000},          {"\u00B5s", 1000},
                              {"\u03BCs", 1000},   {"ms", 1'000'000},     {"s", kSecond},
                              {"m", 60 * kSecond}, {"h", 3600 * kSecond}, {"d", 86400 * kSecond}};
  for (const auto& entry : kUnits) {
    if (entry.name == unit) return entry.nanoseconds;
  }
  return std::nullopt;
}

std::string_view take_unit(std::string_view& text) {
  std::size_t length = 0;
  while (length < text.size() && text[length] != '.' && (text[length] < '0' || text[length] > '9')) ++length;
  auto unit = text.substr(0, length);
  text.remove_prefix(length);
  return unit;
}

}  // namespace

Parsed<std::uint64_t> parse_size(std::string_view text, std::uint64_t bare_unit) {
  auto refuse = [&] { return Parsed<std::uint64_t>::refused(size_help(text, bare_unit)); };
  auto rest = text;
  auto number = take_number(rest);
  if (!number || rest.size() > 1) return refuse();
  auto scale = bare_unit;
  if (!rest.empty()) {
    auto power = rest.front() == 'b' ? std::nullopt : power_of(upper(rest.front()), "BKMGTPE", 1024);
    if (!power) return refuse();
    scale = *power;
  }
  auto bytes = scaled(*number, scale, kMaxBytes);
  if (!bytes) return refuse();
  return *bytes;
}

Parsed<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  using std::chrono::nanoseconds;
  auto refuse = [&] {
    return Parsed<nanoseconds>::refused(
        fmt::format("\"{}\" is not a duration: seconds as a number (1.5), or numbers with units d h m s ms us ns "
                    "(1h30m, 100ms, 7d)",
                    text));
  };
  constexpr auto kMax = static_cast<std::uint64_t>(nanoseconds::max().count());
  std::uint64_t total = 0;
  auto rest = text;
  do {
    auto number = take_number(rest);
    if (!number) return refuse();
    auto unit = take_unit(rest);
    auto bare = unit.empty() && total == 0 && rest.empty() && text.find_first_not_of("0123456789.") == text.npos;
    auto scale = bare ? nanoseconds_of("s") : nanoseconds_of(unit);
    auto part = scale ? scaled(*number, *scale, kMax - total) : std::nullopt;
    if (!part) return refuse();
    total += *part;
  } while (!rest.empty());
  return nanoseconds(total);
}

Parsed<std::uint64_t> parse_bit_rate(std::string_view text) {
  auto refuse = [&] {
    return Parsed<std::uint64_t>::refused(
        fmt::format("\"{}\" is not a rate: a number of Mbps, or a number followed by one of M G T P (powers of 1000 "
                    "bits per second)",
                    text));
  };
  auto rest = text;
  auto number = take_number(rest);
  if (!number || rest.size() > 1) return refuse();
  auto power = power_of(rest.empty() ? 'M' : upper(rest.front()), "MGTP", 1000);
  auto bits = power ? scaled(*number, *power * 1'000'000, kMaxBytes) : std::nullopt;
  if (!bits) return refuse();
  return *bits;
}

Parsed<double> parse_share(std::string_view text) {
  auto rest = text;
  auto number = take_number(rest);
  auto percent = rest == "%";
  if (number && (percent || rest.empty())) {
    auto share =
        static_cast<double>((static_cast<long double>(number->whole) + number->fraction) / (percent ? 100 : 1));
    if (share <= 1) return share;
  }
  return Parsed<double>::refused(
      fmt::format("\"{}\" is not a share: a number from 0 to 1 (0.1), or a percentage (10%)", text));
}

}  // namespace kiseki::units
