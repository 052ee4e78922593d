#pragma once

namespace kiseki::cli {

/// Overwrites with stars what other users must not read in /proc/PID/cmdline: passwords in URLs, values of secret
/// flags. In place: every reader of the arguments must have its own copy by now.
void hide_secrets(int argc, char** argv);

}  // namespace kiseki::cli
