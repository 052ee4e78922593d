#pragma once

#include <string>
#include <system_error>

namespace kiseki::cli {

/// What a person can do about it when an object store fails like this: "check --secret-key ..."; empty when nothing
/// better can be said than the error itself.
std::string store_remedy(std::error_code why);

}  // namespace kiseki::cli
