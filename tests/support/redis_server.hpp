#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

/// Servers of Redis that tests start for themselves: a folder and a port of their own, gone with the object.
namespace kiseki::test {

/// A TCP port nobody listens on now: below those the kernel gives to clients (32768 up), so that no connection takes it
/// before the server does, and low enough for a Cluster node, whose bus may listen 10000 above, to be there too.
inline std::uint16_t free_port() {
  static std::mt19937 random(std::random_device{}());
  std::uniform_int_distribution<int> ports(10240, 20200);
  for (;;) {
    int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) throw std::runtime_error("no socket");
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons(static_cast<std::uint16_t>(ports(random)));
    bool is_free = ::bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0;
    ::close(fd);
    if (is_free) return ntohs(at.sin_port);
  }
}

/// Says bytes to a server on this machine and answers what comes back within the time, at most `enough` bytes of it.
inline std::string say(std::uint16_t port, const std::string& bytes, std::size_t enough = 1,
                       std::chrono::milliseconds limit = std::chrono::seconds(5)) {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return {};
  timeval wait{limit.count() / 1000, (limit.count() % 1000) * 1000};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string out;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0 &&
      ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size())) {
    char buffer[4096];
    while (out.size() < enough) {
      auto got = ::recv(fd, buffer, sizeof buffer, 0);
      if (got < 0 && errno == EINTR) continue;  // work this thread gave to io_uring completes
      if (got <= 0) break;
      out.append(buffer, static_cast<std::size_t>(got));
    }
  }
  ::close(fd);
  return out;
}

/// One process of redis-server (or redis-sentinel), with the given lines as its configuration.
class RedisServer {
 public:
  struct Options {
    std::vector<std::string> config{};  ///< lines of redis.conf
    bool sentinel = false;
    std::uint16_t port = 0;  ///< 0: any
    std::string password{};  ///< that `say` needs; also set it in `config`
  };

  RedisServer() : RedisServer(Options()) {}
  explicit RedisServer(Options options) : options_(std::move(options)) {
    std::string pattern = (std::filesystem::temp_directory_path() / "kiseki-redis-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    port_ = options_.port ? options_.port : free_port();
    std::ofstream file(folder_ + "/redis.conf");
    file << "port " << port_ << "\nbind 127.0.0.1\ndir " << folder_ << "\nunixsocket " << socket_path() << "\n";
    if (!options_.sentinel) file << "save \"\"\n";
    for (const auto& line : options_.config) file << line << "\n";
    file.close();
    start();
  }
  ~RedisServer() {
    kill();
    std::filesystem::remove_all(folder_);
  }
  RedisServer(const RedisServer&) = delete;

  std::uint16_t port() const { return port_; }
  std::string socket_path() const { return folder_ + "/redis.sock"; }
  const std::string& folder() const { return folder_; }
  std::string url(int db = 0) const { return "redis://127.0.0.1:" + std::to_string(port_) + "/" + std::to_string(db); }
  static bool installed() { return std::filesystem::exists("/usr/bin/redis-server"); }

  /// One line such as "CONFIG SET maxmemory 1mb"; the answer, of which `enough` bytes must come.
  std::string command(const std::string& line, std::size_t enough = 1) const {
    auto auth = options_.password.empty() ? "" : "AUTH " + options_.password + "\r\n";
    auto answer = say(port_, auth + line + "\r\n", auth.empty() ? enough : enough + 5);
    return auth.empty() || !answer.starts_with("+OK\r\n") ? answer : answer.substr(5);
  }

  void start() {  ///< the server dies with the thread that starts it
    pid_ = ::fork();
    if (pid_ == 0) exec();
    for (int i = 0; i < 1000; ++i) {
      auto answer = command("PING");
      if (!answer.empty()) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    throw std::runtime_error("redis-server did not start: see " + folder_ + "/log");
  }
  void kill() {  ///< SIGKILL, at once
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, -1), nullptr, 0);
  }
  void stall() { ::kill(pid_, SIGSTOP); }
  void resume() { ::kill(pid_, SIGCONT); }
  void restart() {
    kill();
    start();
  }

 private:
  [[noreturn]] void exec() {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    int log = ::open((folder_ + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (log < 0) ::_exit(127);
    ::dup2(log, 1);
    ::dup2(log, 2);
    ::close_range(3, ~0u, 0);
    auto file = folder_ + "/redis.conf";
    if (options_.sentinel) ::execlp("redis-server", "redis-server", file.c_str(), "--sentinel", nullptr);
    ::execlp("redis-server", "redis-server", file.c_str(), nullptr);
    ::_exit(127);
  }

  Options options_;
  std::string folder_;
  std::uint16_t port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace kiseki::test
