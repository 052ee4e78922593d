#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

/// Quantities as people write them on a command line or in a configuration file.
namespace kiseki::units {

/// A value, or a sentence that says what is allowed (to be put after the name of the flag or key).
template <class T>
class [[nodiscard]] Parsed {
 public:
  Parsed(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  static Parsed refused(std::string why) { return Parsed(Why{std::move(why)}); }
  explicit operator bool() const { return state_.index() == 0; }
  const T& operator*() const { return std::get<0>(state_); }
  const T& value() const { return std::get<0>(state_); }
  const std::string& error() const { return std::get<1>(state_).text; }

 private:
  struct Why {
    std::string text;
  };
  explicit Parsed(Why why) : state_(std::in_place_index<1>, std::move(why)) {}
  std::variant<T, Why> state_;
};

inline constexpr std::uint64_t kKiB = 1024, kMiB = kKiB << 10, kGiB = kMiB << 10, kTiB = kGiB << 10;

/// Bytes: a number, decimals allowed, and one of B K M G T P E (powers of 1024; either case, but B). A bare number
/// counts `bare_unit` bytes. A fraction of a byte is dropped.
Parsed<std::uint64_t> parse_size(std::string_view text, std::uint64_t bare_unit = 1);

/// Time: bare seconds (`1.5`), or numbers with units d h m s ms us ns in any sequence (`1h30m`, `100ms`, `7d`,
/// `1d12h`).
Parsed<std::chrono::nanoseconds> parse_duration(std::string_view text);

/// Bits per second: a number and one of M G T P (powers of 1000); a bare number counts Mbps.
Parsed<std::uint64_t> parse_bit_rate(std::string_view text);

/// A share between 0 and 1: `0.1` or `10%`.
Parsed<double> parse_share(std::string_view text);

}  // namespace kiseki::units
