#include "cli/supervisor.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <deque>

#include "cli/worker.hpp"
#include "cli/worker_link.hpp"
#include "core/log.hpp"
#include "fuse/mount.hpp"

namespace kiseki::cli {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostDeaths = 3;
constexpr auto kDeathWindow = 10s;

volatile sig_atomic_t g_worker = 0, g_asked_to_end = 0;

void pass_on(int signal) {
  g_asked_to_end = 1;
  if (g_worker > 0) ::kill(g_worker, signal);
}

void install_handlers() {
  struct sigaction action{};
  action.sa_handler = pass_on;
  for (int number : {SIGTERM, SIGINT, SIGHUP}) ::sigaction(number, &action, nullptr);
}

void restore_handlers() {
  for (int number : {SIGTERM, SIGINT, SIGHUP}) ::signal(number, SIG_DFL);
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
      int status = run_one();
      bool died = WIFSIGNALED(status);
      if (!died) return WEXITSTATUS(status);
      log::error("mount.worker_died", {{"signal", WTERMSIG(status)}, {"mount_point", plan_.mount_point}});
      if (!kept_) {
        tell(fmt::format("the mount process died (signal {})", WTERMSIG(status)));
        return 1;
      }
      if (g_asked_to_end || !may_restart()) return give_up();
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

  bool may_restart() {
    auto now = Clock::now();
    deaths_.push_back(now);
    while (now - deaths_.front() > kDeathWindow) deaths_.pop_front();
    return deaths_.size() < kMostDeaths;
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
  std::deque<Clock::time_point> deaths_;
  bool told_ = false;
};

}  // namespace

int supervise(const MountPlan& plan, const Report& report) { return Supervisor(plan, report).run(); }

}  // namespace kiseki::cli
