#include "object/block_name.hpp"

#include <charconv>

namespace kiseki::object {

namespace {

constexpr std::uint64_t kMaxBlockBytes = std::uint64_t{16} << 20;

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::uint64_t> length_in_block_key(std::string_view key) {
  if (!key.starts_with("chunks/")) return std::nullopt;
  auto name = key.substr(key.rfind('/') + 1);
  auto first = name.find('_'), last = name.rfind('_');
  if (first == std::string_view::npos || first == last) return std::nullopt;
  auto length = number(name.substr(last + 1));
  if (!number(name.substr(0, first)) || !number(name.substr(first + 1, last - first - 1)) || !length)
    return std::nullopt;
  if (*length == 0 || *length > kMaxBlockBytes) return std::nullopt;
  return length;
}

}  // namespace kiseki::object
