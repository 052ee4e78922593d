#pragma once

#include <string>

#include "object/store.hpp"

namespace kiseki::object {

/// Lists files below a root as objects, in key order. Blocks: for a pool thread. Symlinks are followed; what is neither
/// file nor directory is left out with a warning.
Result<ObjectPage> list_files(const std::string& root, const std::string& prefix, const std::string& after,
                              std::size_t limit, const std::string& delimiter);

}  // namespace kiseki::object
