// A null file system served by our own fuse layer: nullfs MOUNTPOINT [--attr-timeout=SECONDS ...]. Runs in the
// foreground until it is unmounted or gets SIGTERM or SIGINT.
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>

#include "core/runtime.hpp"
#include "fuse/mount.hpp"
#include "fuse/session.hpp"
#include "null_filesystem.hpp"

namespace {

constexpr const char* kUsage =
    "usage: nullfs MOUNTPOINT [--attr-timeout=S] [--entry-timeout=S] [--max-write=BYTES] [--direct-io=1] "
    "[--keep-cache=1]\n"
    "  [--parallel-writes=1] [--later=1] [--loops=N] [--pin=0] [--writeback-cache=1]\n"
    "  (attr=S and entry=S are short for the timeouts)\n";

std::map<std::string, std::string> parse(int argc, char** argv) {
  std::map<std::string, std::string> out{
      {"attr-timeout", "0"}, {"entry-timeout", "3600"}, {"max-write", "1048576"}, {"direct-io", "0"},
      {"keep-cache", "0"},   {"parallel-writes", "0"},  {"later", "0"},           {"loops", "0"},
      {"pin", "1"},          {"writeback-cache", "0"}};
  for (int i = 2; i < argc; ++i) {
    std::string word = argv[i];
    auto equals = word.find('=');
    auto name = word.substr(word.starts_with("--") ? 2 : 0, equals - (word.starts_with("--") ? 2 : 0));
    if (name == "attr" || name == "entry") name += "-timeout";
    if (equals == std::string::npos || !out.contains(name)) {
      std::fputs(kUsage, stderr);
      std::exit(2);
    }
    out[name] = word.substr(equals + 1);
  }
  return out;
}

/// Takes the mount away when a signal asks for it; `serve` then ends by itself.
void unmount_on_signal(const sigset_t& signals, const std::string& mountpoint) {
  int signal = 0;
  while (::sigwait(&signals, &signal) == 0 && signal != SIGUSR1) {
    if (auto gone = kiseki::fuse::unmount(mountpoint, true); !gone)
      std::fprintf(stderr, "%s\n", gone.error().message().c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  using namespace kiseki;
  if (argc < 2 || argv[1][0] == '-') return std::fputs(kUsage, stderr), 2;
  auto options = parse(argc, argv);
  auto number = [&](const char* name) { return std::strtoul(options[name].c_str(), nullptr, 10); };
  auto on = [&](const char* name) { return number(name) != 0; };
  auto seconds = [&](const char* name) {
    return std::chrono::nanoseconds(static_cast<std::int64_t>(std::strtod(options[name].c_str(), nullptr) * 1e9));
  };

  sigset_t signals;
  ::sigemptyset(&signals);
  for (int one : {SIGTERM, SIGINT, SIGUSR1}) ::sigaddset(&signals, one);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  fuse::SessionOptions session_options;
  session_options.max_write = static_cast<std::uint32_t>(number("max-write"));
  session_options.writeback_cache = on("writeback-cache");
  session_options.xattr = session_options.locks = false;
  fuse::MountOptions mount_options;
  mount_options.source = mount_options.subtype = "nullfs";
  mount_options.allow_other = ::geteuid() == 0;
  mount_options.default_permissions = false;
  mount_options.max_read = session_options.max_write;

  Runtime runtime({.loops = static_cast<unsigned>(number("loops")), .pin = on("pin")});
  NullFilesystem fs({seconds("attr-timeout"), seconds("entry-timeout"), on("direct-io"), on("keep-cache"),
                     on("parallel-writes"), on("later")});
  fuse::Session session(runtime, fs, session_options);
  auto outcome = fuse::mount(argv[1], mount_options);
  if (auto* error = std::get_if<fuse::MountError>(&outcome))
    return std::fprintf(stderr, "%s\n", error->sentence.c_str()), 1;
  auto& mounted = std::get<fuse::Mounted>(outcome);

  runtime.start();
  std::thread watcher([&] { unmount_on_signal(signals, mounted.mountpoint); });
  auto raise_read_ahead = [&] {
    runtime.pool("mount", 1).submit([&] { (void)fuse::set_read_ahead(mounted.mountpoint, 1024); });
  };
  auto served = runtime.wait(session.serve(std::move(mounted.device), {}, raise_read_ahead));
  ::pthread_kill(watcher.native_handle(), SIGUSR1);
  watcher.join();
  if (!served) return std::fprintf(stderr, "nullfs: %s\n", served.error().message().c_str()), 1;
  return 0;
}
