#include "fuse/mount.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdlib>

#include "cli/daemon.hpp"
#include "cli/io_backend.hpp"
#include "cli/locations.hpp"
#include "cli/mount_plan.hpp"
#include "cli/settings.hpp"
#include "cli/supervisor.hpp"
#include "cli/unmount.hpp"
#include "cli/worker.hpp"
#include "core/log.hpp"

namespace kiseki::cli {
namespace {

using std::chrono::milliseconds;

/// JFS_MOUNT_TIMEOUT seconds, else 10.
milliseconds mount_patience() {
  const char* text = std::getenv("JFS_MOUNT_TIMEOUT");
  int seconds = text ? std::atoi(text) : 0;
  return std::chrono::seconds(seconds > 0 ? seconds : 10);
}

int run_unsupervised(const MountPlan& plan, const Report& report) {
  auto served = serve_mount(plan, std::nullopt, [&](int, const fuse::Settings&, SessionId) { report(""); });
  if (served) return *served;
  log::error("mount.failed", {{"why", served.error().sentence}});
  report(served.error().sentence);
  return static_cast<int>(served.error().exit);
}

Try<void> check_answers(const std::string& mount_point) {
  struct stat root{};
  if (::stat(mount_point.c_str(), &root) == 0 && root.st_ino == 1) return boost::system::in_place_value;
  return Failure{Exit::failed, fmt::format("{} was mounted but does not answer", mount_point)};
}

/// fstab's options come with every remount, ours among them; who serves goes on with those it began with.
void warn_of_kept_flags(const MountOptions& options) {
  std::string names;
  for (const auto& given : options.flags) names += (names.empty() ? "--" : ", --") + std::string(given.flag->name);
  if (!names.empty())
    log::warn("mount.remount_keeps", {{"flags", names}, {"remedy", "unmount, then mount with what is to change"}});
}

/// The kernel's flags of a mount that goes on as it is: who serves it is not asked.
Try<int> remount(const Settings& settings) {
  const auto& options = settings.mount_options();
  auto mount_point = real_mount_point(settings.arguments().back());
  TRY_CHECK(volume_at(mount_point));
  warn_of_kept_flags(options);
  auto words = options.kernel;
  if (options.writable) words.emplace_back("rw");
  if (options.read_only) words.emplace_back("ro");
  auto done = fuse::remount(mount_point, words);
  if (!done) return Failure{Exit::failed, fmt::format("remount of {}: {}", mount_point, done.error().message())};
  return 0;
}

}  // namespace

Try<int> run_mount(const Settings& settings) {
  if (settings.mount_options().remount) return remount(settings);
  TRY_CHECK(ensure_io_backend());
  TRY(auto plan, plan_mount(settings));
  bool foreground = !settings.on("background") || std::getenv("JFS_FOREGROUND");
  if (foreground) return serve_mount(std::move(plan), std::nullopt, [](int, const fuse::Settings&, SessionId) {});

  auto log_file = settings.given("log") ? absolute_path(settings.text("log")) : default_log_file();
  bool supervised = settings.on("supervise");
  auto started = run_in_background(log_file, mount_patience(), [&](const Report& report) {
    return supervised ? supervise(plan, report) : run_unsupervised(plan, report);
  });
  if (!started) return started.error();
  TRY_CHECK(check_answers(plan.mount_point));
  log::info("mount.ok", {{"mount_point", plan.mount_point}, {"log", log_file}});
  return 0;
}

}  // namespace kiseki::cli
