#include "object/block_name.hpp"

#include "core/numbers.hpp"

namespace kiseki::object {

namespace {

constexpr std::uint64_t kMaxBlockBytes = std::uint64_t{16} << 20;

}  // namespace

std::optional<std::uint64_t> length_in_block_key(std::string_view key) {
  if (!key.starts_with("chunks/")) return std::nullopt;
  auto name = key.substr(key.rfind('/') + 1);
  auto first = name.find('_'), last = name.rfind('_');
  if (first == std::string_view::npos || first == last) return std::nullopt;
  auto length = whole_number<std::uint64_t>(name.substr(last + 1));
  if (!whole_number<std::uint64_t>(name.substr(0, first)) ||
      !whole_number<std::uint64_t>(name.substr(first + 1, last - first - 1)) || !length)
    return std::nullopt;
  if (*length == 0 || *length > kMaxBlockBytes) return std::nullopt;
  return length;
}

std::optional<std::uint64_t> length_in_block_path(std::string_view path) {
  auto at = path.rfind("/chunks/");
  return length_in_block_key(at == std::string_view::npos ? path : path.substr(at + 1));
}

}  // namespace kiseki::object
