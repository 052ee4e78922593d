// Creates and lookups on a metadata engine directly, without FUSE or caches: operations per second at 1 and 64
// concurrent coroutines on one loop. Usage: perf_meta_engine [SECONDS] [DIRECTORY]
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "core/runtime.hpp"
#include "meta/sqlite/engine.hpp"

namespace kiseki::meta {
namespace {

using Clock = std::chrono::steady_clock;

struct Load {
  MetaEngine& engine;
  Clock::time_point end;
  std::uint64_t next = 0, done = 0, failed = 0;
};

Attr file_attr() {
  Attr a;
  a.mode = 0644, a.nlink = 1, a.parent = kRootIno;
  a.atime = a.mtime = a.ctime = {1'800'000'000, 123};
  return a;
}

Attr root_attr() {
  Attr a = file_attr();
  a.type = FileType::directory, a.mode = 0777, a.nlink = 2, a.length = 4096;
  return a;
}

/// What ops/make commits for open(O_CREAT): two checks, six writes.
Commit create(Ino ino, std::string name) {
  EntryKey key{kRootIno, std::move(name)};
  Commit c;
  c.checks = {AttrUnchanged{kRootIno, root_attr(), kDirIdentity}, Unchanged{key, {}}};
  c.writes = {PutEntry{key, {ino, FileType::file}},
              PutAttr{ino, file_attr()},
              PatchAttr{kRootIno, kMtime | kCtime, root_attr(), 0, false},
              AddCounter{Counter::used_space, 4096},
              AddCounter{Counter::total_inodes, 1},
              AddDirStat{kRootIno, {0, 4096, 1}}};
  return c;
}

asio::awaitable<void> create_loop(Load& load) {
  while (Clock::now() < load.end) {
    auto n = load.next++;
    auto outcome = co_await load.engine.commit(create(Ino{2 + n}, "file-" + std::to_string(n)));
    ++(outcome && outcome->applied ? load.done : load.failed);
  }
}

asio::awaitable<void> lookup_loop(Load& load, std::uint64_t files) {
  while (Clock::now() < load.end) {
    auto n = load.next++ * 7919 % files;
    Keys keys{EntryKey{kRootIno, "file-" + std::to_string(n)}, AttrKey{Ino{2 + n}}};
    auto records = co_await load.engine.fetch(std::move(keys));
    ++(records && std::holds_alternative<Attr>((*records)[1]) ? load.done : load.failed);
  }
}

template <class F>
void measure(const char* what, int concurrent, double seconds, Load& load, F loop) {
  asio::io_context io(1);
  auto begin = Clock::now();
  load.end = begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  load.done = load.failed = 0;
  for (int i = 0; i < concurrent; ++i) asio::co_spawn(io, loop(load), asio::detached);  // io.run() awaits them all
  io.run();
  auto took = std::chrono::duration<double>(Clock::now() - begin).count();
  std::printf("%-8s %3d concurrent  %10.0f /s  %7.2f us each  %llu failed\n", what, concurrent,
              static_cast<double>(load.done) / took, took * 1e6 / static_cast<double>(load.done),
              static_cast<unsigned long long>(load.failed));
}

asio::awaitable<void> make_root(MetaEngine& engine) {
  auto prepared = co_await engine.prepare();
  Commit c;
  c.writes = {PutAttr{kRootIno, root_attr()}, PutDirStat{kRootIno, {}}, PutSetting{"{}"}};
  auto outcome = co_await engine.commit(std::move(c));
  if (!prepared || !outcome) std::abort();
}

int run(double seconds, const std::string& dir) {
  BlockingPool pool("sqlite-read", 2);
  auto path = dir + "/perf-" + std::to_string(::getpid()) + ".db";
  auto location = sqlite::Location::parse("sqlite3://" + path);
  auto engine = sqlite::Engine::open(*location, OpenMode::create, pool);
  if (!engine) return std::fprintf(stderr, "%s\n", engine.error().message.c_str()), 1;
  Load load{**engine, {}};
  {
    asio::io_context io(1);
    asio::co_spawn(io, make_root(**engine), asio::detached);
    io.run();
    ::usleep(10000);  // the pool thread leaves asio::post
  }
  for (int concurrent : {1, 64, 256})
    measure("create", concurrent, seconds, load, [](Load& l) { return create_loop(l); });
  auto files = load.next;
  for (int concurrent : {1, 64})
    measure("lookup", concurrent, seconds, load, [files](Load& l) { return lookup_loop(l, files); });
  (*engine).reset();
  for (auto* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path + suffix);
  return 0;
}

}  // namespace
}  // namespace kiseki::meta

int main(int argc, char** argv) {
  double seconds = argc > 1 ? std::atof(argv[1]) : 3;
  return kiseki::meta::run(seconds > 0 ? seconds : 3,
                           argc > 2 ? argv[2] : std::filesystem::temp_directory_path().string());
}
