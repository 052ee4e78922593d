// `kiseki mdtest`: creates a tree of directories and files through the metadata engine alone, and says how fast.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>

#include "cli/locations.hpp"
#include "cli/meta_access.hpp"
#include "cli/progress.hpp"
#include "cli/settings.hpp"
#include "core/async.hpp"
#include "meta/ops.hpp"
#include "meta/session.hpp"

namespace kiseki::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr const char* kSessionVersion = "1.4.1+kiseki";
constexpr std::uint64_t kChunkBytes = std::uint64_t{64} << 20;

struct Plan {
  std::string root;  ///< path from the root of the volume
  unsigned threads = 1;
  unsigned dirs = 0, depth = 0, files = 0;
  std::uint64_t bytes = 0;
  meta::Who who;
  std::uint16_t umask = 0;
};

/// A directory that was made, and those in it.
struct Branch {
  Ino ino;
  std::vector<Branch> below;
};

std::uint64_t dirs_of(const Plan& plan) {
  std::uint64_t all = 1, level = 1;
  for (unsigned i = 0; i < plan.depth; ++i) all += level *= plan.dirs;
  return all;
}

/// "1.234567ms", "2.5s": a duration as Go prints it, to the microsecond.
std::string go_duration(SteadyClock::duration time) {
  auto us = std::chrono::duration_cast<std::chrono::microseconds>(time).count();
  if (us < 1000) return fmt::format("{}µs", us);
  if (us < 1'000'000) return fmt::format("{}ms", static_cast<double>(us) / 1e3);
  auto seconds = static_cast<double>(us % 60'000'000) / 1e6;
  return us < 60'000'000 ? fmt::format("{}s", seconds) : fmt::format("{}m{}s", us / 60'000'000, seconds);
}

std::int64_t rate(std::uint64_t count, SteadyClock::duration time) {
  auto seconds = std::chrono::duration<double>(time).count();
  return static_cast<std::int64_t>(static_cast<double>(count) / std::max(seconds, 1e-9));
}

meta::NewInode new_inode(const Plan& plan, meta::FileType type) {
  meta::NewInode out;
  out.type = type;
  out.mode = type == meta::FileType::directory ? 0777 : 0666;
  out.umask = plan.umask;
  return out;
}

Async<Branch> make_branch(meta::Client& client, const Plan& plan, Ino parent, std::string name, unsigned depth) {
  CO_TRY(auto made,
         co_await meta::make(client, plan.who, parent, std::move(name), new_inode(plan, meta::FileType::directory)));
  Branch out{.ino = made.ino, .below = {}};
  for (unsigned i = 0; depth > 0 && i < plan.dirs; ++i) {
    CO_TRY(auto child, co_await make_branch(client, plan, made.ino, fmt::format("mdtest_tree.{}", i), depth - 1));
    out.below.push_back(std::move(child));
  }
  co_return std::move(out);
}

/// Records slices for `bytes` bytes, as if they had been stored.
Async<void> record_bytes(meta::Client& client, Ino file, std::uint64_t bytes) {
  for (std::uint32_t index = 0; index * kChunkBytes < bytes; ++index) {
    CO_TRY(auto id, co_await client.new_slice_id());
    auto size = static_cast<std::uint32_t>(std::min<std::uint64_t>(kChunkBytes, bytes - index * kChunkBytes));
    Slice slice{.pos = 0, .id = id, .size = size, .off = 0, .len = size};
    CO_CHECK(co_await meta::write_slice(client, file, ChunkIndex{index}, slice, client.clock().now()));
  }
  co_return Result<void>{};
}

/// What one thread does: its files in every directory, the directories of each in a random order.
Async<void> make_files(meta::Client& client, const Plan& plan, const Branch& branch, unsigned thread, Progress& bar) {
  for (unsigned i = 0; i < plan.files; ++i) {
    CO_TRY(auto made, co_await meta::make(client, plan.who, branch.ino, fmt::format("file.mdtest.{}.{}", thread, i),
                                          new_inode(plan, meta::FileType::file)));
    CO_CHECK(co_await record_bytes(client, made.ino, plan.bytes));
    bar.add();
  }
  std::vector<const Branch*> order;
  for (const auto& below : branch.below) order.push_back(&below);
  thread_local std::minstd_rand chance{std::random_device()()};
  std::ranges::shuffle(order, chance);
  for (const auto* below : order) CO_CHECK(co_await make_files(client, plan, *below, thread, bar));
  co_return Result<void>{};
}

/// Makes PATH/test-dir.0-0/mdtest_tree.0 with what is to be below it. PATH may be there already.
Async<Branch> make_tree(meta::Client& client, const Plan& plan) {
  auto slash = plan.root.rfind('/');
  CO_TRY(auto above, co_await meta::resolve(client, plan.root.substr(0, slash)));
  auto name = plan.root.substr(slash + 1);
  auto made = co_await meta::make(client, plan.who, above.ino, name, new_inode(plan, meta::FileType::directory));
  if (!made && made.error() != posix(EEXIST)) co_return made.error();
  CO_TRY(auto root, co_await meta::resolve(client, plan.root));
  CO_TRY(auto test,
         co_await meta::make(client, plan.who, root.ino, "test-dir.0-0", new_inode(plan, meta::FileType::directory)));
  co_return co_await make_branch(client, plan, test.ino, "mdtest_tree.0", plan.depth);
}

/// All threads, spread over the loops.
Async<void> make_all_files(Runtime& runtime, meta::Client& client, const Plan& plan, const Branch& tree,
                           Progress& bar) {
  std::vector<Async<void>> ops;
  for (unsigned i = 0; i < plan.threads; ++i) {
    ops.push_back(on(runtime.executor(i % runtime.loops()), make_files(client, plan, tree, i, bar)));
  }
  co_return co_await fan_out(std::move(ops), plan.threads);
}

Try<void> run_load(Runtime& runtime, meta::Client& client, const Plan& plan) {
  auto dirs = dirs_of(plan), files = dirs * plan.threads * plan.files;
  fmt::print("Create {} files in {} dirs\n", files, dirs);
  auto begin = SteadyClock::now();
  auto tree = runtime.wait(make_tree(client, plan));
  if (!tree) return failure(fmt::format("make the directories of {}", plan.root), tree.error());
  auto between = SteadyClock::now();
  fmt::print("Created {} dirs in {} ({} dirs/s)\n", dirs, go_duration(between - begin), rate(dirs, between - begin));
  Progress bar("create file", files);
  TaskGroup drawing(runtime.executor(0));
  drawing.spawn(bar.keep_drawing());
  auto made = runtime.wait(make_all_files(runtime, client, plan, *tree, bar));
  auto time = SteadyClock::now() - between;
  runtime.wait(drawing.close());
  bar.finish();
  if (!made) return failure("create files", made.error());
  fmt::print("Created {} files in {} ({} files/s)\n", files, go_duration(time), rate(files, time));
  return boost::system::in_place_value;
}

Plan plan_load(const Settings& settings) {
  Plan plan;
  auto path = settings.text("subdir") + "/" + settings.arguments()[1];
  for (std::size_t from = 0; from < path.size();) {  // one slash before each name
    auto to = std::min(path.find('/', from), path.size());
    if (to > from) plan.root += "/" + path.substr(from, to - from);
    from = to + 1;
  }
  plan.threads = static_cast<unsigned>(settings.integer("threads"));
  plan.dirs = static_cast<unsigned>(settings.integer("dirs"));
  plan.depth = static_cast<unsigned>(settings.integer("depth"));
  plan.files = static_cast<unsigned>(settings.integer("files"));
  plan.bytes = static_cast<std::uint64_t>(settings.integer("write"));
  plan.who = {.uid = ::getuid(), .gid = ::getgid(), .check_permissions = false};
  plan.umask = static_cast<std::uint16_t>(::umask(0));
  ::umask(plan.umask);
  return plan;
}

meta::ClientSession::Options session_options(const Settings& settings) {
  meta::ClientSession::Options out;
  out.heartbeat = std::chrono::duration_cast<std::chrono::milliseconds>(settings.duration("heartbeat"));
  out.background_jobs = !settings.on("no-bgjob");
  return out;
}

}  // namespace

Try<int> run_mdtest(const Settings& settings) {
  auto plan = plan_load(settings);
  if (plan.root.empty()) return Failure{Exit::failed, "mdtest needs a directory below the root, such as /test1"};
  TRY(auto url, absolute_meta_url(settings.arguments()[0]));
  auto loops = std::min(plan.threads, std::max(1u, std::thread::hardware_concurrency()));
  TRY(auto access, MetaAccess::open(url, meta::OpenMode::existing, loops));
  TRY(auto format, access->read_format());
  meta::ClientOptions options;
  options.skip_dir_mtime = std::chrono::duration_cast<std::chrono::milliseconds>(settings.duration("skip-dir-mtime"));
  auto clock = std::make_shared<SystemClock>();
  auto& runtime = access->runtime();
  meta::Client client(access->shared_engine(), std::move(format), clock, options);
  auto info = meta::SessionInfo::of_this_process(kSessionVersion, "mdtest", clock->now());
  meta::ClientSession session(client, runtime.executor(0), std::move(info), session_options(settings));
  if (auto joined = runtime.wait(session.start()); !joined) return failure("register a session", joined.error());
  auto done = run_load(runtime, client, plan);
  auto left = runtime.wait(session.close());
  if (!done) return done.error();
  if (!left) return failure("end the session", left.error());
  return 0;
}

}  // namespace kiseki::cli
