#pragma once

#include <string>
#include <string_view>

namespace kiseki::net {

std::string to_base64(std::string_view bytes);
/// "%41" becomes "A"; what is no escape stays.
std::string percent_decoded(std::string_view text);
/// Escapes all but A-Z a-z 0-9 - . _ ~ and, unless told otherwise, '/'. As S3 and SigV4 want it.
std::string percent_encoded(std::string_view text, bool keep_slash = false);

}  // namespace kiseki::net
