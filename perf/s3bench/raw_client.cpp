#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <mutex>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <vector>

#include "load.hpp"
#include "object/s3/sigv4.hpp"

namespace s3bench {

namespace {

using Clock = std::chrono::steady_clock;

struct Server {
  std::string authority, host, bucket;
  std::uint16_t port = 80;
};

Server server_of(const std::string& endpoint) {
  Server out;
  if (!endpoint.starts_with("http://")) throw std::runtime_error("the raw client speaks http only");
  auto rest = endpoint.substr(7);
  auto slash = rest.find('/');
  out.authority = rest.substr(0, slash);
  out.bucket = rest.substr(slash + 1);
  auto colon = out.authority.find(':');
  out.host = out.authority.substr(0, colon);
  if (colon != std::string::npos) out.port = static_cast<std::uint16_t>(std::stoi(out.authority.substr(colon + 1)));
  return out;
}

/// The head of one request, signed now: good for a quarter of an hour.
std::string signed_head(const Load& load, const Server& server, std::uint64_t number) {
  using namespace kiseki::object::s3;
  Signer signer(load.region, "s3");
  auto date = amz_date(::time(nullptr));
  auto path = "/" + server.bucket + "/" + key_of(load, number);
  std::string method = load.get ? "GET" : "PUT", hash = "UNSIGNED-PAYLOAD";
  ToSign what{
      method, path, "", {{"host", server.authority}, {"x-amz-content-sha256", hash}, {"x-amz-date", date}}, hash};
  auto authorization = signer.authorization(what, {load.access_key, load.secret_key, "", false, 0}, date);
  auto head = method + " " + path + " HTTP/1.1\r\nHost: " + server.authority + "\r\nx-amz-content-sha256: " + hash +
              "\r\nx-amz-date: " + date + "\r\nAuthorization: " + authorization + "\r\n";
  if (!load.get) head += "Content-Length: " + std::to_string(load.size) + "\r\n";
  return head + "\r\n";
}

class Connection {
 public:
  explicit Connection(const Server& server) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server.port);
    if (fd_ < 0 || ::inet_pton(AF_INET, server.host.c_str(), &address.sin_addr) != 1 ||
        ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      throw std::runtime_error("cannot connect to " + server.authority);
    int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  ~Connection() { ::close(fd_); }
  Connection(const Connection&) = delete;

  void send(std::string_view head, const std::vector<char>& body) {
    write(head.data(), head.size(), body.empty() ? 0 : MSG_MORE);
    write(body.data(), body.size(), 0);
  }

  /// Reads one answer, its body into `into`. Answers the status.
  int receive(std::vector<char>& into) {
    std::string head;
    std::size_t end = 0;
    char buffer[16 << 10];
    for (;;) {
      auto got = read(buffer, sizeof buffer);
      head.append(buffer, got);
      if (end = head.find("\r\n\r\n"); end != std::string::npos) break;
    }
    auto early = head.substr(end + 4);
    head.resize(end);
    auto length = length_in(head);
    into.resize(std::max(into.size(), length));
    std::copy_n(early.begin(), std::min(early.size(), length), into.begin());
    for (auto at = early.size(); at < length;) at += read(into.data() + at, length - at);
    return std::atoi(head.c_str() + 9);
  }

 private:
  static std::size_t length_in(std::string head) {
    std::ranges::transform(head, head.begin(), [](unsigned char c) { return std::tolower(c); });
    auto at = head.find("content-length:");
    return at == std::string::npos ? 0 : std::strtoull(head.c_str() + at + 15, nullptr, 10);
  }
  void write(const char* data, std::size_t size, int flags) {
    while (size > 0) {
      auto sent = ::send(fd_, data, size, MSG_NOSIGNAL | flags);
      if (sent <= 0) throw std::runtime_error("the connection broke while sending");
      data += sent;
      size -= static_cast<std::size_t>(sent);
    }
  }
  std::size_t read(char* into, std::size_t size) {
    int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
    auto got = ::recv(fd_, into, size, 0);
    if (got <= 0) throw std::runtime_error("the connection broke while receiving");
    return static_cast<std::size_t>(got);
  }
  int fd_;
};

struct Run {
  const Load& load;
  Server server;
  std::vector<std::string> heads;
  std::vector<char> body;
  Clock::time_point end;
  std::mutex mutex;  // guards outcome
  Outcome outcome;
};

void worker(Run& run, std::uint64_t number) {
  Outcome mine;
  try {
    Connection connection(run.server);
    std::vector<char> into(run.load.get ? run.load.size : 0);
    while (Clock::now() < run.end) {
      number = (number + run.load.at_once) % run.load.objects;
      auto begun = Clock::now();
      connection.send(run.heads[number], run.body);
      auto status = connection.receive(into);
      mine.latency.add(static_cast<std::uint64_t>((Clock::now() - begun).count()));
      ++mine.requests;
      if (status / 100 != 2) ++mine.failures, mine.error = "status " + std::to_string(status);
    }
  } catch (const std::exception& problem) {
    ++mine.failures, mine.error = problem.what();
  }
  std::lock_guard lock(run.mutex);
  run.outcome.requests += mine.requests;
  run.outcome.failures += mine.failures;
  run.outcome.latency.merge(mine.latency);
  if (!mine.error.empty()) run.outcome.error = mine.error;
}

}  // namespace

Outcome run_raw(const Load& load) {
  auto begun = Clock::now();
  Run run{load, server_of(load.endpoint), {}, {}, {}, {}, {}};
  for (unsigned i = 0; i < load.objects; ++i) run.heads.push_back(signed_head(load, run.server, i));
  if (!load.get) run.body.assign(load.size, 'x');
  auto cpu = cpu_seconds();
  begun = Clock::now();
  run.end = begun + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(load.seconds));
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < load.at_once; ++i) threads.emplace_back([&run, i] { worker(run, i); });
  for (auto& thread : threads) thread.join();
  run.outcome.cpu_seconds = cpu_seconds() - cpu;
  run.outcome.seconds = std::chrono::duration<double>(Clock::now() - begun).count();
  return std::move(run.outcome);
}

}  // namespace s3bench
