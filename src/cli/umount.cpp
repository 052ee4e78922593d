#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "cli/locations.hpp"
#include "cli/mount_table.hpp"
#include "cli/settings.hpp"
#include "cli/unmount.hpp"

namespace kiseki::cli {
namespace {

/// Runs a program and gathers what it says on standard error.
Try<void> run_program(const std::vector<std::string>& words) {
  int out[2];
  if (::pipe2(out, O_CLOEXEC) != 0) return failure("pipe", std::error_code(errno, std::generic_category()));
  pid_t child = ::fork();
  if (child == 0) {
    ::dup2(out[1], STDERR_FILENO);
    std::vector<char*> argv;
    for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(out[1]);
  std::string said;
  char chunk[4096];
  for (ssize_t got; (got = ::read(out[0], chunk, sizeof chunk)) > 0;) said.append(chunk, static_cast<std::size_t>(got));
  ::close(out[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  while (!said.empty() && said.back() == '\n') said.pop_back();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return boost::system::in_place_value;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
    return Failure{Exit::failed, fmt::format("{} is not installed (package fuse3)", words[0])};
  return Failure{Exit::failed, said.empty() ? fmt::format("{} failed", words[0]) : said};
}

/// Staged blocks wait in <cache-dir>/<uuid>/rawstaging of a mount with --writeback, which this version does not offer:
/// a mount of ours never holds any, so there is nothing to wait for. One of JuiceFS may.
Try<void> wait_until_flushed(const MountedAt& mount) {
  if (mount.type == "fuse.juicefs")
    return Failure{Exit::failed,
                   fmt::format("{} is a JuiceFS mount, whose staged blocks are its own: juicefs umount --flush {}",
                               mount.path, mount.path)};
  if (!is_volume_mount(mount)) return Failure{Exit::failed, fmt::format("{} is not a Kiseki mount point", mount.path)};
  std::puts("All staging chunks are flushed");
  return boost::system::in_place_value;
}

}  // namespace

std::string real_mount_point(const std::string& path) {
  // A dead mount cannot be stat'ed: resolve the parent only.
  auto absolute = std::filesystem::path(absolute_path(path));
  if (!absolute.has_filename()) absolute = absolute.parent_path();
  std::error_code ec;
  auto whole = std::filesystem::canonical(absolute, ec);
  if (!ec) return whole.string();
  auto parent = std::filesystem::canonical(absolute.parent_path(), ec);
  return ec ? absolute.string() : (parent / absolute.filename()).string();
}

Try<void> unmount(const std::string& mount_point, bool lazy) {
  if (is_root()) {
    if (::umount2(mount_point.c_str(), (lazy ? MNT_DETACH : 0) | UMOUNT_NOFOLLOW) == 0)
      return boost::system::in_place_value;
    std::error_code why(errno, std::generic_category());
    if (why.value() == EBUSY) {
      return Failure{
          Exit::failed,
          fmt::format("{} is busy: an application uses it; end it, or detach at once with --force", mount_point)};
    }
    return failure(fmt::format("cannot unmount {}", mount_point), why);
  }
  return run_program({"fusermount3", lazy ? "-uz" : "-u", "--", mount_point});
}

Try<int> run_umount(const Settings& settings) {
  auto path = real_mount_point(settings.arguments()[0]);
  auto mount = mounted_at(path);
  if (!mount) return Failure{Exit::failed, fmt::format("{} is not a mount point", settings.arguments()[0])};
  if (settings.on("flush")) TRY_CHECK(wait_until_flushed(*mount));
  TRY_CHECK(unmount(path, settings.on("force")));
  return 0;
}

}  // namespace kiseki::cli
