#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "actor.hpp"
#include "core/runtime.hpp"
#include "meta/memory/engine.hpp"
#include "meta/open_engine.hpp"
#include "meta/volume_format.hpp"
#include "recount.hpp"
#include "support/redis_server.hpp"
#include "support/run.hpp"

namespace kiseki::model {

namespace {

using meta::MetaEngine;

struct Variant {
  const char* name;
  bool sqlite = false, trash = false, coherent = true, redis = false;
  int clients = 1;
  std::uint64_t seeds = 200;
  int steps = 300;
  friend std::ostream& operator<<(std::ostream& out, const Variant& v) { return out << v.name; }
};

/// Seeds to run: all, or the one a failure named (KISEKI_SEED).
std::vector<std::uint64_t> seeds(std::uint64_t count) {
  if (auto* one = std::getenv("KISEKI_SEED")) return {std::strtoull(one, nullptr, 10)};
  std::vector<std::uint64_t> all;
  for (std::uint64_t seed = 1; seed <= count; ++seed) all.push_back(seed);
  return all;
}

/// A volume and its clients.
class World {
 public:
  World(const Variant& variant, std::uint64_t seed) : variant_(variant) {
    if (variant.redis) {
      server().command("FLUSHALL");
      runtime_ = std::make_unique<Runtime>(Runtime::Options{.loops = 2, .pin = false});
      runtime_->start();
    }
    if (!variant.sqlite) return;
    folder_ = std::filesystem::temp_directory_path() /
              ("kiseki-model-" + std::to_string(::getpid()) + "-" + std::to_string(seed));
    std::filesystem::create_directories(folder_);
    runtime_ = std::make_unique<Runtime>(Runtime::Options{.loops = 1, .pin = false});
  }
  ~World() {
    mounts.clear();
    engines.clear();
    runtime_.reset();
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  asio::awaitable<bool> open() {
    meta::Format format;
    format.name = "model";
    format.trash_days = variant_.trash ? 1 : 0;
    format.user_group_quota = true;
    for (int i = 0; i < variant_.clients; ++i) {
      auto engine = new_engine(i == 0);
      if (!engine) co_return false;
      if (i == 0) {
        auto made = co_await meta::format_volume(*engine, format, *clock);
        if (!made) co_return ADD_FAILURE() << made.error().message, false;
        format = *made;
      }
      auto mount = std::make_unique<Mount>();
      meta::ClientOptions options;
      options.skip_dir_mtime = std::chrono::milliseconds(0);
      options.cache_records = 100;  // small: evictions happen
      mount->client = std::make_unique<Client>(engine, format, clock, options);
      mount->client->set_session(SessionId{static_cast<std::uint64_t>(i + 1)});
      mount->client->set_open_inodes(mount.get());
      mount->client->set_reaper(mount.get());
      engines.push_back(engine);
      mounts.push_back(std::move(mount));
    }
    co_return true;
  }
  asio::awaitable<void> close() {
    for (auto& mount : mounts) mount->client.reset();
    for (auto& engine : engines) co_await engine->close();
  }
  std::vector<Mount*> all_mounts() {
    std::vector<Mount*> all;
    for (auto& mount : mounts) all.push_back(mount.get());
    return all;
  }

  std::shared_ptr<ManualClock> clock = std::make_shared<ManualClock>();
  std::vector<std::shared_ptr<MetaEngine>> engines;
  std::vector<std::unique_ptr<Mount>> mounts;

 private:
  static kiseki::test::RedisServer& server() {
    static kiseki::test::RedisServer server;  // of all seeds
    return server;
  }
  std::shared_ptr<MetaEngine> new_engine(bool first) {
    if (variant_.redis) return open(server().url(), first);
    if (!variant_.sqlite) {
      if (!first) return engines[0];
      return std::make_shared<meta::MemoryEngine>(
          meta::MemoryEngine::Options{.post = false, .coherent = variant_.coherent});
    }
    return open("sqlite3://" + (folder_ / "meta.db").string(), first);
  }
  std::shared_ptr<MetaEngine> open(const std::string& url, bool first) {
    auto opened = meta::open_engine(url, first ? meta::OpenMode::create : meta::OpenMode::existing, *runtime_);
    if (!opened) return ADD_FAILURE() << opened.error().message, nullptr;
    return *opened;
  }

  Variant variant_;
  std::filesystem::path folder_;
  std::unique_ptr<Runtime> runtime_;
};

asio::awaitable<void> play(World& world, const Variant& variant, std::uint64_t seed) {
  if (!co_await world.open()) co_return;
  {
    Actor actor(seed, variant.trash, world.all_mounts(), world.clock);
    bool agreed = true;
    for (int i = 0; agreed && i < variant.steps; ++i) agreed = co_await actor.step() && co_await actor.same_tree();
    if (agreed) agreed = co_await actor.same_contents();
    co_await actor.close_all();
    if (agreed) co_await expect_exact_counts(*world.engines[0]);
    if (testing::Test::HasFailure())
      ADD_FAILURE() << "replay with KISEKI_SEED=" << seed << " --gtest_filter=*" << variant.name << "*\n"
                    << actor.trace(std::getenv("KISEKI_SEED") ? 10000 : 25);
  }
  co_await world.close();
}

class NamespaceModel : public testing::TestWithParam<Variant> {};

TEST_P(NamespaceModel, AgreesWithOracle) {
  // SEMANTICS: usage, directory statistics and quotas change in the same commit as what causes them
  auto variant = GetParam();
  if (variant.redis && !kiseki::test::RedisServer::installed()) GTEST_SKIP() << "redis-server is not installed";
  for (auto seed : seeds(variant.seeds)) {
    World world(variant, seed);
    kiseki::test::run([&]() { return play(world, variant, seed); }, std::chrono::seconds(60));
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Engines, NamespaceModel,
    testing::Values(Variant{.name = "memory"}, Variant{.name = "memory_trash", .trash = true},
                    Variant{.name = "memory_two_clients", .coherent = false, .clients = 2, .seeds = 60},
                    Variant{.name = "sqlite", .sqlite = true, .seeds = 60},
                    Variant{.name = "sqlite_trash", .sqlite = true, .trash = true, .seeds = 30},
                    Variant{.name = "sqlite_two_clients", .sqlite = true, .clients = 2, .seeds = 40},
                    Variant{.name = "redis", .redis = true, .seeds = 10},
                    Variant{.name = "redis_trash", .trash = true, .redis = true, .seeds = 6},
                    Variant{.name = "redis_two_clients", .redis = true, .clients = 2, .seeds = 8}),
    [](const auto& info) { return info.param.name; });

}  // namespace

}  // namespace kiseki::model
