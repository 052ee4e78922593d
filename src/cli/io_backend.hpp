#pragma once

#include "cli/failure.hpp"

namespace kiseki::cli {

/// Sees to it that this process may use io_uring. Where it is forbidden (many containers), the epoll build beside this
/// binary (`kiseki-epoll`) is executed in its place with the same words; without one, says what to do. Raises the limit
/// of open files to what is allowed, and fails where that is next to nothing.
Try<void> ensure_io_backend();

/// Remembers the words of the command line for that.
void remember_arguments(int argc, char** argv);

}  // namespace kiseki::cli
