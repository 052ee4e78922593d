#include "cli/io_backend.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "core/runtime.hpp"

namespace kiseki::cli {
namespace {

std::vector<std::string> g_arguments;

std::string reason(int error) {
  if (error == ENOMEM)
    return "io_uring gets no memory: raise what this user may lock (ulimit -l; LimitMEMLOCK= of a service)";
  return "io_uring is forbidden on this host (a container's seccomp profile, or kernel.io_uring_disabled); allow it";
}

}  // namespace

void remember_arguments(int argc, char** argv) { g_arguments.assign(argv, argv + argc); }

Try<void> ensure_io_backend() {
  if (io_backend_usable()) return boost::system::in_place_value;
  auto why = reason(errno);
  std::error_code ec;
  auto other = std::filesystem::read_symlink("/proc/self/exe", ec).string() + "-epoll";
  std::vector<char*> argv;
  for (auto& word : g_arguments) argv.push_back(word.data());
  argv.push_back(nullptr);
  if (!ec && !g_arguments.empty()) ::execv(other.c_str(), argv.data());  // returns only when it cannot be run
  return Failure{Exit::failed, fmt::format("{}, or build the epoll variant (cmake --preset epoll && cmake --build "
                                           "--preset epoll) and put it at {}",
                                           why, other)};
}

}  // namespace kiseki::cli
