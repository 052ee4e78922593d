#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace kiseki::object {

/// Plain length a block key states (`chunks/.../<id>_<index>_<length>`); nothing when it is no block key.
std::optional<std::uint64_t> length_in_block_key(std::string_view key);

/// The same for a key below any prefix (`volume/chunks/...`).
std::optional<std::uint64_t> length_in_block_path(std::string_view path);

}  // namespace kiseki::object
