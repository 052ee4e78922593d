#include "cli/daemon.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "cli/locations.hpp"
#include "core/log.hpp"
#include "fuse/unique_fd.hpp"

namespace kiseki::cli {
namespace {

Try<fuse::UniqueFd> open_log(const std::string& path) {
  if (auto dir = std::filesystem::path(path).parent_path(); !dir.empty()) TRY_CHECK(make_directories(dir.string()));
  fuse::UniqueFd log(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!log)
    return failure(fmt::format("cannot log to {} (--log)", path), std::error_code(errno, std::generic_category()));
  return log;
}

/// The one byte before the sentence tells a report from a death without a word.
void write_report(int pipe, const std::string& sentence) {
  std::string bytes = ("!" + sentence).substr(0, PIPE_BUF);
  [[maybe_unused]] auto written = ::write(pipe, bytes.data(), bytes.size());
}

[[noreturn]] void become_daemon(int log, int pipe, const std::function<int(const Report&)>& body) {
  ::setsid();
  [[maybe_unused]] int root = ::chdir("/");
  if (int null = ::open("/dev/null", O_RDWR); null >= 0) ::dup2(null, STDIN_FILENO);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  ::dup2(pipe, 3);
  ::close_range(4, ~0U, 0);  // what we inherited may lie inside the mount point
  ::fcntl(3, F_SETFD, FD_CLOEXEC);
  bool open = true;
  Report report = [&open](const std::string& failure) {
    if (open) write_report(3, failure);
    ::close(3);
    open = false;
  };
  ::_exit(body(report));
}

Try<void> wait_for_report(int pipe, pid_t daemon, std::chrono::milliseconds patience, const std::string& log_file) {
  pollfd wait{pipe, POLLIN, 0};
  int ready = ::poll(&wait, 1, static_cast<int>(patience.count()));
  if (ready == 0) {
    ::kill(daemon, SIGTERM);
    return Failure{Exit::failed,
                   fmt::format("the mount did not answer within {} s; see {}", patience.count() / 1000, log_file)};
  }
  // One read, not up to the end: the worker was forked with the pipe open and keeps its end as long as it serves. A
  // report is one write of less than PIPE_BUF bytes, so it arrives whole.
  char chunk[4096];
  auto got = ::read(pipe, chunk, sizeof chunk);
  std::string said(chunk, got > 0 ? static_cast<std::size_t>(got) : 0);
  if (said == "!") return boost::system::in_place_value;
  if (said.empty())
    return Failure{Exit::failed, fmt::format("the mount process ended without a word; see {}", log_file)};
  return Failure{Exit::failed, said.substr(1)};
}

}  // namespace

Try<void> run_in_background(const std::string& log_file, std::chrono::milliseconds patience,
                            const std::function<int(const Report&)>& body) {
  TRY(auto log, open_log(log_file));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return failure("pipe", std::error_code(errno, std::generic_category()));
  fuse::UniqueFd read_end(ends[0]), write_end(ends[1]);
  std::fflush(nullptr);
  pid_t daemon = ::fork();
  if (daemon < 0) return failure("cannot start a process", std::error_code(errno, std::generic_category()));
  if (daemon == 0) become_daemon(log.get(), write_end.get(), body);
  write_end = {};
  auto reported = wait_for_report(read_end.get(), daemon, patience, log_file);
  if (!reported) ::waitpid(daemon, nullptr, WNOHANG);
  return reported;
}

}  // namespace kiseki::cli
