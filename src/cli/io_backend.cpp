#include "cli/io_backend.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
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

/// The many connections and files of a busy mount need more than the 1024 that shells give.
Try<void> raise_open_files() {
  constexpr rlim_t kLeast = 64;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return boost::system::in_place_value;
  if (limit.rlim_max < kLeast)
    return Failure{Exit::failed, fmt::format("only {} open files are allowed here, and {} are needed at least: raise "
                                             "that (ulimit -n; LimitNOFILE= of a service)",
                                             limit.rlim_max, kLeast)};
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return boost::system::in_place_value;
}

}  // namespace

void remember_arguments(int argc, char** argv) { g_arguments.assign(argv, argv + argc); }

Try<void> ensure_io_backend() {
  TRY_CHECK(raise_open_files());
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
