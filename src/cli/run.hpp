#pragma once

namespace kiseki::cli {

/// The whole program: reads the command line, runs the verb, says in one sentence why not. Returns the exit code:
/// 0 success, help, version; 1 any failure; 3 an unknown verb.
int run(int argc, char** argv);

}  // namespace kiseki::cli
