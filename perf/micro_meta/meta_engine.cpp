// Creates, lookups and getattrs on a metadata engine directly, without FUSE or caches, from every loop: operations per
// second. Usage: perf_meta_engine [SECONDS [URL [CONCURRENT...]]]. The URL names a database of its own: nothing is
// cleaned up.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "core/async.hpp"
#include "core/runtime.hpp"
#include "meta/open_engine.hpp"

namespace kiseki::meta {
namespace {

using Clock = std::chrono::steady_clock;

struct Load {
  MetaEngine& engine;
  Clock::time_point end{};
  std::uint64_t files = 0;  ///< that there are
  std::atomic<std::uint64_t> next{0}, done{0}, failed{0};
  void count(bool good) { ++(good ? done : failed); }
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

std::string name_of(std::uint64_t n) { return "file-" + std::to_string(n); }

Async<void> create_loop(Load& load) {
  while (Clock::now() < load.end) {
    auto n = load.next++;
    auto outcome = co_await load.engine.commit(create(Ino{2 + n}, name_of(n)));
    load.count(outcome && outcome->applied);
  }
  co_return Result<void>{};
}

/// A name and what it stands for, as ops/lookup asks.
Async<void> lookup_loop(Load& load) {
  while (Clock::now() < load.end) {
    auto name = name_of(load.next++ * 7919 % load.files);
    Keys keys{EntryKey{kRootIno, name}, ChildKey{kRootIno, name}};
    auto records = co_await load.engine.fetch(std::move(keys));
    load.count(records && std::holds_alternative<Attr>((*records)[1]));
  }
  co_return Result<void>{};
}

Async<void> getattr_loop(Load& load) {
  while (Clock::now() < load.end) {
    Keys keys{AttrKey{Ino{2 + load.next++ * 7919 % load.files}}};
    auto records = co_await load.engine.fetch(std::move(keys));
    load.count(records && std::holds_alternative<Attr>((*records)[0]));
  }
  co_return Result<void>{};
}

template <class F>
void measure(Runtime& runtime, const char* what, unsigned concurrent, double seconds, Load& load, F loop) {
  auto begin = Clock::now();
  load.end = begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  load.done = load.failed = 0;
  std::vector<Async<void>> all;
  for (unsigned i = 0; i < concurrent; ++i) all.push_back(on(runtime.executor(i % runtime.loops()), loop(load)));
  (void)runtime.wait(fan_out(std::move(all), concurrent));
  auto took = std::chrono::duration<double>(Clock::now() - begin).count();
  std::printf("%-8s %3u concurrent  %10.0f /s  %7.2f us each  %llu failed\n", what, concurrent,
              static_cast<double>(load.done) / took, took * 1e6 / static_cast<double>(load.done),
              static_cast<unsigned long long>(load.failed));
  std::fflush(stdout);
}

Async<void> make_root(MetaEngine& engine) {
  CO_CHECK(co_await engine.prepare());
  Commit c;
  c.writes = {PutAttr{kRootIno, root_attr()}, PutDirStat{kRootIno, {}}, PutSetting{"{}"}};
  CO_CHECK(co_await engine.commit(std::move(c)));
  co_return Result<void>{};
}

Async<void> close(MetaEngine& engine) {
  co_await engine.close();
  co_return Result<void>{};
}

int run(double seconds, const std::string& url, const std::vector<unsigned>& concurrency) {
  Runtime runtime({});
  runtime.start();
  auto engine = open_engine(url, OpenMode::create, runtime);
  if (!engine) return std::fprintf(stderr, "%s\n", engine.error().message.c_str()), 1;
  if (!runtime.wait(make_root(**engine))) return std::fprintf(stderr, "no root directory\n"), 1;
  Load load{**engine};
  for (auto concurrent : concurrency) measure(runtime, "create", concurrent, seconds, load, create_loop);
  load.files = load.next;
  for (auto concurrent : concurrency) measure(runtime, "lookup", concurrent, seconds, load, lookup_loop);
  for (auto concurrent : concurrency) measure(runtime, "getattr", concurrent, seconds, load, getattr_loop);
  (void)runtime.wait(close(**engine));
  (*engine).reset();
  runtime.stop();
  return 0;
}

}  // namespace
}  // namespace kiseki::meta

int main(int argc, char** argv) {
  double seconds = argc > 1 ? std::atof(argv[1]) : 3;
  auto path = std::filesystem::temp_directory_path() / ("perf-" + std::to_string(::getpid()) + ".db");
  std::vector<unsigned> concurrency;
  for (int i = 3; i < argc; ++i) concurrency.push_back(static_cast<unsigned>(std::atoi(argv[i])));
  if (concurrency.empty()) concurrency = {1, 64, 256};
  auto status =
      kiseki::meta::run(seconds > 0 ? seconds : 3, argc > 2 ? argv[2] : "sqlite3://" + path.string(), concurrency);
  for (auto* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path.string() + suffix);
  return status;
}
