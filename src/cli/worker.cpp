#include "cli/worker.hpp"

#include <fmt/format.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <atomic>
#include <csignal>
#include <mutex>
#include <variant>

#include "cli/mounted_volume.hpp"
#include "cli/process_events.hpp"
#include "core/log.hpp"
#include "core/log_output.hpp"
#include "fuse/mount.hpp"

namespace kiseki::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 10s;      ///< for applications to let go after SIGTERM
constexpr auto kSameSignal = 500ms;  ///< a signal repeated sooner was sent to the whole process group

/// What the loops report to the main thread.
struct Reports {
  std::atomic<bool> ready{false}, lost{false};
  std::mutex mutex;  // guards ended
  std::optional<Result<void>> ended;
  bool has_ended() {
    std::lock_guard lock(mutex);
    return ended.has_value();
  }
};

void set_up_process(const MountPlan& plan) {
  ::umask(0);                 // objects and directories of a file store are open to every client, as JuiceFS makes them
  ::mallopt(M_ARENA_MAX, 2);  // an arena per thread is memory nobody uses
  ::mallopt(M_TRIM_THRESHOLD, 1 << 20);
  if (plan.no_huge_pages) ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

Try<fuse::UniqueFd> device_of(const MountedVolume& volume, const MountPlan& plan, std::optional<Handover>& continued) {
  if (continued) return std::move(continued->device);
  auto mounted = fuse::mount(plan.mount_point, volume.device_options());
  if (auto* refused = std::get_if<fuse::MountError>(&mounted)) return Failure{Exit::failed, refused->sentence};
  return std::move(std::get<fuse::Mounted>(mounted).device);
}

class Server {
 public:
  Server(MountPlan plan, ProcessEvents& events) : plan_(std::move(plan)), events_(events), volume_(plan_) {}

  Try<int> run(std::optional<Handover> continued, const OnReady& ready) {
    auto session = continued ? continued->session : SessionId{};
    auto opened = volume_.open(session, [this](std::string why) { volume_lost(why); });
    if (!opened) return opened.error();
    auto settings = continued ? std::optional(continued->settings) : std::nullopt;
    auto device = device_of(volume_, plan_, continued);
    if (!device) {
      volume_.close();
      return device.error();
    }
    int borrowed = device->get();
    volume_.serve(
        std::move(*device), settings, [this] { reports_.ready = true, events_.notify(); },
        [this](Result<void> how) { ended(how); });
    wait_until_ended(borrowed, ready);
    volume_.close();
    return conclude();
  }

 private:
  void volume_lost(const std::string& why) {
    log::error("mount.volume_lost", {{"why", why}, {"mount_point", plan_.mount_point}});
    reports_.lost = true;
    events_.notify();
  }

  void ended(Result<void> how) {
    std::lock_guard lock(reports_.mutex);
    reports_.ended = how;
    events_.notify();
  }

  void wait_until_ended(int device, const OnReady& ready) {
    bool told = false;
    std::optional<std::chrono::steady_clock::time_point> first_signal;
    while (!reports_.has_ended()) {
      auto event = events_.wait(first_signal ? kPatience : -1ms);
      auto now = std::chrono::steady_clock::now();
      if (!told && reports_.ready) told = true, announce(device, ready);
      bool asked = (event && *event) || (reports_.lost && !first_signal);
      if (asked && !first_signal) {
        first_signal = now;
        let_go(event.value_or(0));
      } else if (!event || (event && *event && now - *first_signal > kSameSignal)) {
        log::warn("mount.cut_off", {{"mount_point", plan_.mount_point}, {"why", "applications still use it"}});
        volume_.stop();
      }
    }
  }

  void announce(int device, const OnReady& ready) {
    auto kib = static_cast<std::uint32_t>(std::max<std::size_t>(plan_.session.max_readahead, 1u << 20) >> 10);
    if (auto set = fuse::set_read_ahead(plan_.mount_point, kib); !set)
      log::debug("mount.read_ahead", {{"why", set.error()}});
    log::info("mount.ready", {{"volume", volume_.format().name},
                              {"mount_point", plan_.mount_point},
                              {"session", volume_.session_id().value}});
    ready(device, *volume_.settings(), volume_.session_id());
    ::malloc_trim(0);
  }

  /// Takes the mount out of the name space; who has files open there keeps them until kPatience is over.
  void let_go(int signal) {
    log::info("mount.ending", {{"mount_point", plan_.mount_point}, {"signal", signal}});
    auto gone = fuse::unmount(plan_.mount_point, false);
    if (!gone && gone.error() == posix(EBUSY)) gone = fuse::unmount(plan_.mount_point, true);
    if (!gone) {
      log::warn("mount.unmount_failed", {{"mount_point", plan_.mount_point}, {"why", gone.error()}});
      volume_.stop();
    }
  }

  Try<int> conclude() {
    const auto& how = *reports_.ended;
    if (!how) return failure(fmt::format("the mount at {} failed", plan_.mount_point), how.error());
    log::info("mount.ended", {{"mount_point", plan_.mount_point}});
    return reports_.lost ? 1 : 0;
  }

  MountPlan plan_;
  ProcessEvents& events_;
  MountedVolume volume_;
  Reports reports_;
};

}  // namespace

Try<int> serve_mount(MountPlan plan, std::optional<Handover> continued, OnReady ready) {
  set_up_process(plan);
  ProcessEvents events;
  log::Background log_thread;  // from here on no loop waits for whoever reads the log
  return Server(std::move(plan), events).run(std::move(continued), ready);
}

}  // namespace kiseki::cli
