#include "core/process_metrics.hpp"

#include <dirent.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string>

namespace kiseki::metrics::detail {
namespace {

const auto kStarted = std::chrono::steady_clock::now();
const auto kStartedWall = std::chrono::system_clock::now();

double cpu_seconds() {
  timespec ts{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
  return static_cast<double>(ts.tv_sec) + static_cast<double>(ts.tv_nsec) * 1e-9;
}

struct Memory {
  double virtual_bytes = 0, resident_bytes = 0;
};

std::optional<Memory> memory() {
  std::ifstream file("/proc/self/statm");
  Memory pages;
  if (!(file >> pages.virtual_bytes >> pages.resident_bytes)) return std::nullopt;
  auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
  return Memory{pages.virtual_bytes * page, pages.resident_bytes * page};
}

std::optional<double> open_descriptors() {
  auto* dir = ::opendir("/proc/self/fd");
  if (!dir) return std::nullopt;
  double count = -3;  // ".", ".." and the descriptor of `dir`
  while (::readdir(dir)) ++count;
  ::closedir(dir);
  return count;
}

double limit_of(__rlimit_resource resource) {
  rlimit limit{};
  ::getrlimit(resource, &limit);
  return static_cast<double>(limit.rlim_cur);  // RLIM_INFINITY shows as 2^64, as elsewhere
}

struct Traffic {
  double received = 0, sent = 0;
};

/// Bytes through IP in this network namespace: two lines "IpExt: names", "IpExt: numbers".
std::optional<Traffic> traffic() {
  std::ifstream file("/proc/net/netstat");
  std::string names, numbers;
  while (std::getline(file, names)) {
    if (names.rfind("IpExt:", 0) != 0 || !std::getline(file, numbers)) continue;
    std::istringstream name_stream(names), number_stream(numbers);
    std::string name, number;
    Traffic found;
    while (name_stream >> name && number_stream >> number) {
      if (name == "InOctets") found.received = std::stod(number);
      if (name == "OutOctets") found.sent = std::stod(number);
    }
    return found;
  }
  return std::nullopt;
}

}  // namespace

std::vector<ProcessValue> process_values() {
  using std::chrono::duration;
  std::vector<ProcessValue> out;
  auto cpu = cpu_seconds();
  auto uptime = duration<double>(std::chrono::steady_clock::now() - kStarted).count();
  out.push_back({"juicefs_uptime", "seconds since the process started", uptime, false});
  out.push_back({"juicefs_cpu_usage", "CPU seconds used, user and system", cpu, false});
  out.push_back({"juicefs_process_cpu_seconds_total", "CPU seconds used, user and system", cpu, true});
  if (auto m = memory()) {
    out.push_back({"juicefs_memory", "resident bytes", m->resident_bytes, false});
    out.push_back({"juicefs_process_resident_memory_bytes", "resident bytes", m->resident_bytes, false});
    out.push_back({"juicefs_process_virtual_memory_bytes", "virtual bytes", m->virtual_bytes, false});
  }
  out.push_back({"juicefs_process_virtual_memory_max_bytes", "limit of virtual bytes", limit_of(RLIMIT_AS), false});
  if (auto fds = open_descriptors()) out.push_back({"juicefs_process_open_fds", "open descriptors", *fds, false});
  out.push_back({"juicefs_process_max_fds", "limit of open descriptors", limit_of(RLIMIT_NOFILE), false});
  if (auto t = traffic()) {
    out.push_back(
        {"juicefs_process_network_receive_bytes_total", "bytes received (network namespace)", t->received, true});
    out.push_back({"juicefs_process_network_transmit_bytes_total", "bytes sent (network namespace)", t->sent, true});
  }
  auto started = duration<double>(kStartedWall.time_since_epoch()).count();
  out.push_back({"juicefs_process_start_time_seconds", "Unix time of the start", started, false});
  return out;
}

}  // namespace kiseki::metrics::detail
