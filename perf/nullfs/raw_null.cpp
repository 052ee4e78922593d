// The reference for the price of our fuse layer: the same null files, served by blocking read(2) and writev(2) on a
// clone of the device per pinned thread, and nothing else. raw_null MOUNTPOINT [attr=S] [entry=S] [threads=N]
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "null_files.hpp"

namespace {

constexpr std::size_t kMaxWrite = std::size_t{1} << 20, kHugePage = std::size_t{2} << 20;
std::uint64_t g_attr_valid = 0, g_entry_valid = 3600;
std::atomic<std::uint64_t> g_next{nullfiles::kFirstCreated};
std::byte* g_zeros;
std::string g_mountpoint;

std::byte* huge_memory(std::size_t bytes) {
  auto* out = static_cast<std::byte*>(std::aligned_alloc(kHugePage, (bytes + kHugePage - 1) / kHugePage * kHugePage));
  ::madvise(out, bytes, MADV_HUGEPAGE);
  std::memset(out, 0, bytes);
  return out;
}

fuse_attr attributes(std::uint64_t ino) {
  fuse_attr out{};
  out.ino = ino;
  out.size = nullfiles::size_of(ino);
  out.blocks = out.size / 512;
  out.atime = out.mtime = out.ctime = 1'700'000'000;
  out.mode = nullfiles::is_dir(ino) ? S_IFDIR | 0777 : S_IFREG | 0666;
  out.nlink = 1;
  out.blksize = 65536;
  return out;
}

fuse_entry_out entry(std::uint64_t ino) {
  fuse_entry_out out{};
  out.nodeid = ino;
  out.generation = 1;
  out.entry_valid = g_entry_valid;
  out.attr_valid = g_attr_valid;
  out.attr = attributes(ino);
  return out;
}

template <class T>
T argument(const std::byte* message) {
  T out;
  std::memcpy(&out, message + sizeof(fuse_in_header), sizeof out);
  return out;
}

std::size_t list(const fuse_in_header& in, const std::byte* message, std::byte* out) {
  auto ask = argument<fuse_read_in>(message);
  std::size_t used = 0;
  bool plus = in.opcode == FUSE_READDIRPLUS;
  auto prefix = plus ? sizeof(fuse_entry_out) : 0;
  for (auto i = ask.offset; in.nodeid == nullfiles::kListed && i < nullfiles::kListedCount; ++i) {
    char name[8];
    auto length = static_cast<std::uint32_t>(std::snprintf(name, sizeof name, "e%05u", static_cast<unsigned>(i)));
    auto record = FUSE_REC_ALIGN(prefix + sizeof(fuse_dirent) + length);
    if (used + record > ask.size) break;
    std::memset(out + used, 0, record);
    if (plus) {
      auto full = entry(nullfiles::kEntries + i);
      std::memcpy(out + used, &full, sizeof full);
    }
    fuse_dirent one{nullfiles::kEntries + i, i + 1, length, S_IFREG >> 12};
    std::memcpy(out + used + prefix, &one, sizeof one);
    std::memcpy(out + used + prefix + sizeof one, name, length);
    used += record;
  }
  return used;
}

struct Answer {
  int error = 0;
  bool none = false;
  const void* data = nullptr;
  std::size_t bytes = 0;
};

template <class T>
Answer put(std::byte* out, const T& value) {
  std::memcpy(out, &value, sizeof value);
  return {0, false, out, sizeof value};
}

Answer greet(const std::byte* message, std::byte* out) {
  auto in = argument<fuse_init_in>(message);
  fuse_init_out reply{};
  reply.major = 7;
  reply.minor = 38;
  reply.max_readahead = kMaxWrite;
  std::uint64_t flags = FUSE_INIT_EXT | FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_ASYNC_DIO |
                        FUSE_PARALLEL_DIROPS | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ATOMIC_O_TRUNC |
                        FUSE_AUTO_INVAL_DATA | FUSE_HANDLE_KILLPRIV_V2;
  reply.flags = static_cast<std::uint32_t>(flags) & in.flags;
  reply.max_background = 128;
  reply.congestion_threshold = 96;
  reply.max_write = kMaxWrite;
  reply.max_pages = kMaxWrite / 4096;
  reply.time_gran = 1;
  return put(out, reply);
}

Answer handle(const fuse_in_header& in, const std::byte* message, std::byte* out) {
  const char* name = reinterpret_cast<const char*>(message + sizeof in);
  switch (in.opcode) {
    case FUSE_INIT:
      return greet(message, out);
    case FUSE_LOOKUP:
      if (auto ino = nullfiles::by_name(in.nodeid, name)) return put(out, entry(ino));
      return {ENOENT};
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
      return {0, true};
    case FUSE_GETATTR:
    case FUSE_SETATTR: {
      fuse_attr_out reply{};
      reply.attr_valid = g_attr_valid;
      reply.attr = attributes(in.nodeid);
      if (in.opcode == FUSE_SETATTR) {
        auto change = argument<fuse_setattr_in>(message);
        if (change.valid & FATTR_SIZE) reply.attr.size = change.size;
      }
      return put(out, reply);
    }
    case FUSE_OPEN:
    case FUSE_OPENDIR:
      return put(out, fuse_open_out{1, 0, 0});
    case FUSE_CREATE: {
      struct {
        fuse_entry_out entry;
        fuse_open_out open;
      } reply{entry(g_next++), {1, 0, 0}};
      return put(out, reply);
    }
    case FUSE_READ:
      return {0, false, g_zeros, argument<fuse_read_in>(message).size};
    case FUSE_WRITE:
      return put(out, fuse_write_out{argument<fuse_write_in>(message).size, 0});
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
      return {0, false, out, list(in, message, out)};
    case FUSE_STATFS: {
      fuse_statfs_out reply{};
      reply.st.bsize = reply.st.frsize = 4096;
      reply.st.namelen = 255;
      return put(out, reply);
    }
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_FLUSH:
    case FUSE_FSYNC:
    case FUSE_UNLINK:
      return {};
    default:
      return {ENOSYS};
  }
}

void serve(int device, int cpu) {
  if (cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    ::sched_setaffinity(0, sizeof set, &set);
  }
  // The payload of a WRITE begins on a huge page, as in the layer measured against this.
  auto* message = huge_memory(2 * kHugePage) + kHugePage - sizeof(fuse_in_header) - sizeof(fuse_write_in);
  std::vector<std::byte> out(kMaxWrite);
  while (true) {
    auto n = ::read(device, message, kMaxWrite + 4096);
    if (n < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN)) continue;
    if (n <= 0) return;
    fuse_in_header in;
    std::memcpy(&in, message, sizeof in);
    auto answer = handle(in, message, out.data());
    if (answer.none) continue;
    fuse_out_header header{static_cast<std::uint32_t>(sizeof header + answer.bytes), -answer.error, in.unique};
    iovec parts[2] = {{&header, sizeof header}, {const_cast<void*>(answer.data), answer.bytes}};
    if (::writev(device, parts, answer.bytes ? 2 : 1) < 0 && errno != ENOENT) std::perror("writev");
  }
}

void unmount(int) { ::umount2(g_mountpoint.c_str(), MNT_DETACH); }

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::fputs("usage: raw_null MOUNTPOINT [attr=S] [entry=S] [threads=N]\n", stderr), 2;
  g_mountpoint = argv[1];
  long threads = ::sysconf(_SC_NPROCESSORS_ONLN);
  for (int i = 2; i < argc; ++i) {
    std::string word = argv[i];
    auto value = std::strtol(word.substr(word.find('=') + 1).c_str(), nullptr, 10);
    if (word.starts_with("attr=")) g_attr_valid = static_cast<std::uint64_t>(value);
    if (word.starts_with("entry=")) g_entry_valid = static_cast<std::uint64_t>(value);
    if (word.starts_with("threads=")) threads = value;
  }
  g_zeros = huge_memory(kHugePage);
  int device = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  auto options = "fd=" + std::to_string(device) + ",rootmode=40000,user_id=0,group_id=0,allow_other";
  if (::mount("raw_null", argv[1], "fuse.raw_null", MS_NOSUID | MS_NODEV | MS_NOATIME, options.c_str()) != 0) {
    return std::perror("mount"), 1;
  }
  ::signal(SIGTERM, unmount);
  ::signal(SIGINT, unmount);
  std::vector<std::thread> servers;
  for (long i = 0; i < threads; ++i) {
    int clone = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (::ioctl(clone, FUSE_DEV_IOC_CLONE, &device) != 0) return std::perror("clone"), 1;
    servers.emplace_back(serve, clone, static_cast<int>(i));
  }
  for (auto& server : servers) server.join();
  return 0;
}
