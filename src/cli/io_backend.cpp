#include "cli/io_backend.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/runtime.hpp"

namespace kiseki::cli {
namespace {

std::vector<std::string> g_arguments;

}  // namespace

void remember_arguments(int argc, char** argv) { g_arguments.assign(argv, argv + argc); }

Try<void> ensure_io_backend() {
  if (io_backend_usable()) return boost::system::in_place_value;
  std::error_code ec;
  auto other = std::filesystem::read_symlink("/proc/self/exe", ec).string() + "-epoll";
  std::vector<char*> argv;
  for (auto& word : g_arguments) argv.push_back(word.data());
  argv.push_back(nullptr);
  if (!ec && !g_arguments.empty()) ::execv(other.c_str(), argv.data());  // returns only when it cannot be run
  return Failure{Exit::failed,
                 fmt::format("io_uring is forbidden on this host (a container's seccomp profile, or "
                             "kernel.io_uring_disabled); allow it, or build the epoll variant (cmake --preset epoll "
                             "&& cmake --build --preset epoll) and put it at {}",
                             other)};
}

}  // namespace kiseki::cli
