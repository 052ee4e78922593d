#include "cli/supervisor.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "cli/restart_policy.hpp"
#include "cli/worker.hpp"
#include "cli/worker_link.hpp"
#include "core/log.hpp"
#include "fuse/mount.hpp"

namespace kiseki::cli {
namespace {

constexpr int kEnding[] = {SIGTERM, SIGINT, SIGHUP};

volatile sig_atomic_t g_worker = 0, g_asked_to_end = 0;

void pass_on(int signal) {
  g_asked_to_end = 1;
  if (g_worker > 0) ::kill(g_worker, signal);
}

void install_handlers() {
  struct sigaction action{};
  action.sa_handler = pass_on;
  for (int number : kEnding) ::sigaction(number, &action, nullptr);
}

void restore_handlers() {
  for (int number : kEnding) ::signal(number, SIG_DFL);
}

/// Up to `limit`, or until a signal has asked us to end, or something happened on `device` that nobody waits for: its
/// connection is gone. True: it is.
bool wait_for_loss(int device, std::chrono::milliseconds limit) {
  sigset_t ending, before;
  ::sigemptyset(&ending);
  for (int number : kEnding) ::sigaddset(&ending, number);
  ::sigprocmask(SIG_BLOCK, &ending, &before);  // none may come between the question and the wait
  timespec time{limit.count() / 1000, limit.count() % 1000 * 1'000'000};
  pollfd wait{device, 0, 0};
  bool lost = !g_asked_to_end && ::ppoll(&wait, 1, &time, &before) > 0;
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  return lost;
}

fuse::UniqueFd duplicate(int fd) { return fuse::UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

[[noreturn]] void run_worker(const MountPlan& plan, int socket, std::optional<Handover> continued) {
  restore_handlers();
  auto ready = [socket](int device, const fuse::Settings& settings, SessionId session) {
    send_ready(socket, device, settings, session);
  };
  int code = 1;
  try {
    auto served = serve_mount(plan, std::move(continued), ready);
    if (served) {
      code = *served;
    } else {
      log::error("mount.failed", {{"why", served.error().sentence}});
      send_failed(socket, served.error().sentence);
    }
  } catch (const std::exception& bug) {
    log::error("mount.bug", {{"what", bug.what()}});
    send_failed(socket, fmt::format("unexpected: {}", bug.what()));
  }
  ::_exit(code);
}

class Supervisor {
 public:
  Supervisor(const MountPlan& plan, const Report& report) : plan_(plan), report_(report) {}

  int run() {
    install_handlers();
    for (;;) {
      served_ = false;
      int status = run_one();
      if (WIFEXITED(status) && (served_ || !kept_ || WEXITSTATUS(status) == 0)) return WEXITSTATUS(status);
      auto pause = after(status);
      if (!kept_) {
        tell(fmt::format("the mount process died (signal {}); its log says more (--log)", WTERMSIG(status)));
        return 1;
      }
      if (!pause || g_asked_to_end) return give_up();
      if (wait_for_loss(kept_->device.get(), *pause)) return conclude_lost();
      if (g_asked_to_end) return give_up();
      log::info("mount.worker_restart", {{"mount_point", plan_.mount_point}});
    }
  }

 private:
  /// Starts a worker and stays until it has ended. Returns its wait status.
  int run_one() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return W_EXITCODE(1, 0);
    fuse::UniqueFd ours(ends[0]), theirs(ends[1]);
    pid_t parent = ::getpid(), child = ::fork();
    if (child < 0) return tell(fmt::format("cannot start a process: {}", std::strerror(errno))), W_EXITCODE(1, 0);
    if (child == 0) {
      ::prctl(PR_SET_NAME, "kiseki-worker");
      if (::getppid() != parent) ::_exit(1);
      ours = {};
      run_worker(plan_, theirs.get(), continued());
    }
    g_worker = child;
    theirs = {};
    listen(ours.get());
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    g_worker = 0;
    return status;
  }

  void listen(int socket) {
    for (;;) {
      errno = 0;
      auto message = receive(socket);
      if (!message && errno == EINTR) continue;
      if (!message) return;  // its end is closed: it has ended or will
      if (message->ready) {
        kept_ = std::move(message->ready);
        served_ = true;
        policy_.serves();
        tell("");
      } else {
        tell(message->failed);
      }
    }
  }

  std::optional<Handover> continued() {
    if (!kept_) return std::nullopt;
    return Handover{duplicate(kept_->device.get()), kept_->settings, kept_->session};
  }

  /// How long to wait after a worker that ended by itself or by a signal.
  RestartPolicy::Pause after(int status) {
    auto now = RestartPolicy::Clock::now();
    if (WIFSIGNALED(status)) {
      log::error("mount.worker_died", {{"signal", WTERMSIG(status)}, {"mount_point", plan_.mount_point}});
      return policy_.crashed(now);
    }
    auto pause = policy_.failed_to_start(now);
    log::error("mount.restart_failed",
               {{"mount_point", plan_.mount_point}, {"again_in_ms", pause ? pause->count() : -1}});
    return pause;
  }

  int conclude_lost() {
    log::info("mount.ended", {{"mount_point", plan_.mount_point}, {"why", "unmounted while nothing served it"}});
    return 1;
  }

  int give_up() {
    log::error("mount.given_up", {{"mount_point", plan_.mount_point}});
    if (auto gone = fuse::unmount(plan_.mount_point, true); !gone)
      log::error("mount.unmount_failed", {{"why", gone.error()}});
    return 1;
  }

  void tell(const std::string& failure) {
    if (!told_) report_(failure);
    told_ = true;
  }

  const MountPlan& plan_;
  const Report& report_;
  std::optional<Handover> kept_;
  RestartPolicy policy_;
  bool served_ = false;  ///< the worker that runs, or ran last
  bool told_ = false;
};

}  // namespace

int supervise(const MountPlan& plan, const Report& report) { return Supervisor(plan, report).run(); }

}  // namespace kiseki::cli
