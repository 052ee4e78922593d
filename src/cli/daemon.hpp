#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "cli/failure.hpp"
#include "cli/supervisor.hpp"

namespace kiseki::cli {

/// Runs `body` in a new session detached from the terminal (working directory /, output appended to `log_file`), and
/// waits until it has reported. The caller must have no threads. Fails with what was reported, or when nothing was
/// within `patience` (then the daemon is told to end).
Try<void> run_in_background(const std::string& log_file, std::chrono::milliseconds patience,
                            const std::function<int(const Report&)>& body);

}  // namespace kiseki::cli
