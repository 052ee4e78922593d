#pragma once

#include <charconv>
#include <concepts>
#include <optional>
#include <string_view>

namespace kiseki {

/// All of `text` as a number in `base`: digits alone, after a minus where T has a sign. None if it is empty, if
/// anything else stands in it or if T cannot hold it.
template <std::integral T>
std::optional<T> whole_number(std::string_view text, int base = 10) {
  T value{};
  auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace kiseki
