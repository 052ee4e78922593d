#include "cli/process_events.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <system_error>

namespace kiseki::cli {

ProcessEvents::ProcessEvents() {
  sigset_t set;
  sigemptyset(&set);
  for (int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, number);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  signals_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (signals_ < 0 || wake_ < 0) throw std::system_error(errno, std::generic_category(), "signalfd");
}

ProcessEvents::~ProcessEvents() {
  if (signals_ >= 0) ::close(signals_);
  if (wake_ >= 0) ::close(wake_);
}

void ProcessEvents::notify() noexcept {
  std::uint64_t one = 1;
  [[maybe_unused]] auto written = ::write(wake_, &one, sizeof one);
}

std::optional<int> ProcessEvents::wait(std::chrono::milliseconds limit) {
  pollfd fds[] = {{signals_, POLLIN, 0}, {wake_, POLLIN, 0}};
  int ready = ::poll(fds, 2, limit.count() < 0 ? -1 : static_cast<int>(limit.count()));
  if (ready == 0) return std::nullopt;
  signalfd_siginfo info{};
  if (::read(signals_, &info, sizeof info) == sizeof info) return static_cast<int>(info.ssi_signo);
  std::uint64_t count = 0;
  [[maybe_unused]] auto drained = ::read(wake_, &count, sizeof count);
  return 0;
}

}  // namespace kiseki::cli
