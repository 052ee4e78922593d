// A server that speaks as much of S3 as a block store needs, keeps objects in memory and costs as little processor time
// as it can: what is measured against it is the client. A thread for each connection, on blocking sockets; nothing is
// copied but by the kernel. Runs until SIGTERM or SIGINT.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <thread>

#include "answers.hpp"

namespace {

constexpr int kMostConnections = 2000;
constexpr const char* kUsage =
    "usage: nulls3 [--port=9000] [--tls-cert=PEM --tls-key=PEM] [--discard=1] [--delay=MICROSECONDS]\n"
    "              [--rate=MB/S] [--size=MIB]\n"
    "  port 0: any; the endpoint is printed. discard: bodies of PUT are dropped in the kernel, GET gives a pattern.\n"
    "  delay: before each answer. rate: of all connections together. size: of all objects (4096).\n";

std::map<std::string, std::string> parse(int argc, char** argv) {
  std::map<std::string, std::string> out{{"port", "9000"}, {"tls-cert", ""}, {"tls-key", ""}, {"discard", "0"},
                                         {"delay", "0"},   {"rate", "0"},    {"size", "4096"}};
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    auto equals = word.find('=');
    auto name = word.substr(word.starts_with("--") ? 2 : 0, equals - (word.starts_with("--") ? 2 : 0));
    if (equals == std::string::npos || !out.contains(name)) {
      std::fputs(kUsage, stderr);
      std::exit(2);
    }
    out[name] = word.substr(equals + 1);
  }
  return out;
}

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

int listen_on(std::uint16_t port) {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  if (fd < 0) fail("socket");
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  // Debian's default. On loopback a receiver's acknowledgements run the sender's code: where the host prefers BBR, its
  // pacing would be counted as the client's work.
  constexpr std::string_view kCongestion = "cubic";
  ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, kCongestion.data(), kCongestion.size());
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("bind");
  if (::listen(fd, 1024) != 0) fail("listen");
  return fd;
}

std::uint16_t port_of(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

}  // namespace

int main(int argc, char** argv) {
  auto options = parse(argc, argv);
  auto number = [&](const char* name) { return std::strtoull(options[name].c_str(), nullptr, 10); };
  ::signal(SIGPIPE, SIG_IGN);
  auto* tls = options["tls-cert"].empty()
                  ? nullptr
                  : nulls3::tls_context(options["tls-cert"].c_str(), options["tls-key"].c_str());
  nulls3::Behaviour behaviour{number("discard") != 0, std::chrono::microseconds(number("delay")), number("size") << 20};
  nulls3::Objects objects;
  nulls3::Pace pace(number("rate") * 1'000'000);
  std::atomic<int> connections{0};

  int listener = listen_on(static_cast<std::uint16_t>(number("port")));
  std::printf("%s://127.0.0.1:%u\n", tls ? "https" : "http", port_of(listener));
  std::fflush(stdout);
  // Nothing here outlives the process, so a signal simply ends it.
  for (;;) {
    int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    if (++connections > kMostConnections) {
      --connections;
      ::close(fd);
      continue;
    }
    std::thread([&, fd] {
      nulls3::Wire wire(fd, tls, pace);
      try {
        nulls3::serve(wire, objects, behaviour);
      } catch (const std::exception& problem) {
        std::fprintf(stderr, "nulls3: %s\n", problem.what());
      }
      --connections;
    }).detach();
  }
}
