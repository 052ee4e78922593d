#include "cli/io_backend.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "core/runtime.hpp"

namespace kiseki::cli {
namespace {

char** g_arguments = nullptr;

}  // namespace

void remember_arguments(char** argv) { g_arguments = argv; }

Try<void> ensure_io_backend() {
  if (io_backend_usable()) return boost::system::in_place_value;
  std::error_code ec;
  auto other = std::filesystem::read_symlink("/proc/self/exe", ec).string() + "-epoll";
  if (!ec && g_arguments) ::execv(other.c_str(), g_arguments);  // returns only when it cannot be run
  return Failure{Exit::failed,
                 fmt::format("io_uring is forbidden on this host (a container's seccomp profile, or "
                             "kernel.io_uring_disabled); allow it, or build the epoll variant (cmake --preset epoll "
                             "&& cmake --build --preset epoll) and put it at {}",
                             other)};
}

}  // namespace kiseki::cli
