#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "object/s3/sigv4.hpp"

namespace kiseki::object::s3 {

/// The keys of one profile in the text of an AWS credentials file; nothing when the profile has none.
std::optional<Credentials> keys_of_profile(std::string_view file_text, std::string_view profile);

/// The whole of a small file; empty when it cannot be read.
std::string small_file(const std::string& path);

}  // namespace kiseki::object::s3
