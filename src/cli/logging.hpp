#pragma once

#include <string>

#include "cli/failure.hpp"
#include "core/log.hpp"

namespace kiseki::cli {

class Settings;

/// How this run logs: level and format of the global flags, to standard error or `file`.
log::Options log_options(const Settings& settings, const std::string& file = {});
/// Starts logging. Fails when the file cannot be opened.
Try<void> start_logging(const Settings& settings, const std::string& file = {});

}  // namespace kiseki::cli
