#include "fuse/fusermount.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace kiseki::fuse {
namespace {

constexpr const char* kHelper = "fusermount3";
constexpr int kHelperSocket = 3;  // its end of the socket, as it sees it

struct HelperRun {
  int spawn_error = 0;  ///< an errno when it could not be started
  int status = -1;      ///< exit status
  std::string said;     ///< what it wrote to standard error
  UniqueFd device;      ///< what it passed, if anything
};

std::string read_all(int fd) {
  std::string out;
  std::array<char, 512> some;
  while (out.size() < 8192) {
    auto n = ::read(fd, some.data(), some.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    out.append(some.data(), static_cast<std::size_t>(n));
  }
  return out;
}

/// The descriptor that came with the message, or none when the other end was closed.
UniqueFd receive_descriptor(int socket) {
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t n;
  do {
    n = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  auto* part = n > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
  if (part == nullptr || part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) return {};
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(part), sizeof fd);
  return UniqueFd(fd);
}

std::vector<std::string> environment_with(const std::string& extra) {
  std::vector<std::string> out;
  for (char** at = environ; *at != nullptr; ++at) {
    if (std::string_view(*at).substr(0, 12) != "_FUSE_COMMFD") out.emplace_back(*at);
  }
  out.push_back(extra);
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (auto& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

HelperRun run_helper(std::vector<std::string> arguments) {
  HelperRun out;
  int sockets[2], errors[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0)
    return out.spawn_error = errno, std::move(out);
  UniqueFd ours(sockets[0]), theirs(sockets[1]);
  if (::pipe2(errors, O_CLOEXEC) != 0) return out.spawn_error = errno, std::move(out);
  UniqueFd listen(errors[0]), speak(errors[1]);
  // dup2 onto itself would keep close-on-exec: first move both out of the way.
  UniqueFd socket_high(::fcntl(theirs.get(), F_DUPFD_CLOEXEC, 10)),
      speak_high(::fcntl(speak.get(), F_DUPFD_CLOEXEC, 10));
  if (!socket_high || !speak_high) return out.spawn_error = errno, std::move(out);

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, socket_high.get(), kHelperSocket);
  ::posix_spawn_file_actions_adddup2(&actions, speak_high.get(), STDERR_FILENO);
  auto environment = environment_with(fmt::format("_FUSE_COMMFD={}", kHelperSocket));
  pid_t child = -1;
  out.spawn_error =
      ::posix_spawnp(&child, kHelper, &actions, nullptr, pointers(arguments).data(), pointers(environment).data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (out.spawn_error != 0) return out;
  theirs = {}, speak = {}, socket_high = {}, speak_high = {};
  out.device = receive_descriptor(ours.get());
  out.said = read_all(listen.get());
  out.status = wait_for(child);
  return out;
}

bool mentions(const HelperRun& run, const char* words) { return run.said.find(words) != std::string::npos; }

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

MountError explain(const HelperRun& run, const std::string& mountpoint) {
  if (run.spawn_error == ENOENT) {
    return {ENOENT, "fusermount3 is not installed: only root can mount without it (apt-get install fuse3)"};
  }
  if (run.spawn_error != 0) return {run.spawn_error, fmt::format("fusermount3: {}", posix(run.spawn_error).message())};
  if (mentions(run, "user_allow_other")) {
    return {EPERM,
            "allow_other is not allowed to users: root must put user_allow_other into /etc/fuse.conf, or leave the "
            "option out"};
  }
  if (mentions(run, "Permission denied") && mentions(run, "/dev/fuse")) {
    return {
        EACCES,
        "/dev/fuse is closed to this user: its mode should be 0666 (chmod 666 /dev/fuse as root), or mount as root"};
  }
  if (mentions(run, "device not found") || mentions(run, "modprobe")) {
    return {ENODEV, "this kernel has no FUSE: load the module (modprobe fuse)"};
  }
  if (mentions(run, "no write access") || mentions(run, "not owned by user")) {
    return {EPERM, fmt::format("{} is not yours: a user can only mount on a directory that he owns and may write",
                               mountpoint)};
  }
  if (mentions(run, "Operation not permitted")) {
    return {EPERM, fmt::format("fusermount3 may not mount on {}: it must be set-uid root, and mounts allowed here",
                               mountpoint)};
  }
  auto said = first_line(run.said);
  return {EIO, said.empty() ? fmt::format("fusermount3 failed with status {}", run.status) : said};
}

}  // namespace

std::variant<Mounted, MountError> fusermount(const std::string& mountpoint, const MountOptions& options) {
  auto run = run_helper({kHelper, "-o", fusermount_options(options), "--", mountpoint});
  if (run.spawn_error != 0 || !run.device) return explain(run, mountpoint);
  ::fcntl(run.device.get(), F_SETFL, ::fcntl(run.device.get(), F_GETFL) | O_NONBLOCK);
  return Mounted{std::move(run.device), mountpoint};
}

Result<void> fusermount_unmount(const std::string& mountpoint, bool lazy) {
  std::vector<std::string> arguments{kHelper, "-u"};
  if (lazy) arguments.emplace_back("-z");
  arguments.insert(arguments.end(), {"--", mountpoint});
  auto run = run_helper(std::move(arguments));
  if (run.spawn_error != 0) return posix(run.spawn_error);
  if (run.status == 0) return {};
  if (mentions(run, "busy")) return posix(EBUSY);
  if (mentions(run, "not found")) return posix(EINVAL);
  return posix(EPERM);
}

}  // namespace kiseki::fuse
