#pragma once

#include <string>

#include "cli/mount_plan.hpp"
#include "meta/format.hpp"

namespace kiseki::cli {

/// The `.config` file of a mount: JSON with the keys that JuiceFS's tools read (tools.md section 3.1). Durations in ns.
std::string mount_config_text(const MountPlan& plan, const meta::Format& format, SessionId sid,
                              const std::string& metrics_address);

}  // namespace kiseki::cli
