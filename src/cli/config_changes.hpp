#pragma once

#include <string>
#include <vector>

#include "cli/settings.hpp"
#include "meta/format.hpp"

namespace kiseki::cli {

struct ConfigChanges {
  bool asked = false;            ///< any flag named a setting, changed or not
  bool storage_changed = false;  ///< the store must be tested
  meta::Format wanted;
  std::vector<std::string> lines;  ///< "  capacity: 0 B -> 1.0 GiB"
  std::vector<std::string> risks;  ///< sentences; any of them asks before going on
};

/// What the flags of `config` make of a format. Fails on what may not change: an ACL switched off, a lower minimal
/// version.
Try<ConfigChanges> config_changes(const Settings& settings, const meta::Format& now);

/// "0 B", "1.0 GiB", "12 MiB"
std::string human_bytes(std::uint64_t bytes);

}  // namespace kiseki::cli
