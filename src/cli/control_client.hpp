#pragma once

#include <cstdint>
#include <string>

#include "cli/failure.hpp"

/// The client's end of a mount's `.control` file (JuiceFS 1.4, tools.md section 3.4).
namespace kiseki::cli {

struct InfoQuery {
  std::uint64_t inode = 0;
  bool recursive = false, raw = false, strict = false;
};

/// Asks the mount that holds directory `dir` about an inode; the answer is InfoV2's JSON.
Try<std::string> ask_info(const std::string& dir, const InfoQuery& query);

}  // namespace kiseki::cli
