#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "core/runtime.hpp"
#include "meta/memory/engine.hpp"
#include "meta/redis/engine.hpp"
#include "meta/sqlite/engine.hpp"
#include "support/redis_server.hpp"
#include "support/run.hpp"

/// What every metadata engine promises. One suite, every engine; a new engine is one more Backend.
namespace kiseki::meta {

/// A directory of its own, gone with the object.
class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "kiseki-meta-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// An empty engine with its surroundings.
struct Stage {
  std::shared_ptr<void> surroundings;  ///< destroyed after the engine
  std::shared_ptr<MetaEngine> engine;
};

struct Backend {
  const char* name;
  std::function<Stage()> open;
};

struct SqliteSurroundings {
  TempDir dir;
  BlockingPool pool{"sqlite-read", 2};
};

inline Stage open_sqlite(const std::string& query) {
  auto around = std::make_shared<SqliteSurroundings>();
  auto location = sqlite::Location::parse("sqlite3://" + (around->dir / "meta.db") + query);
  if (!location) throw std::runtime_error(location.error().message);
  auto engine = sqlite::Engine::open(*location, OpenMode::create, around->pool);
  if (!engine) throw std::runtime_error(engine.error().message);
  return {around, std::move(*engine)};
}

/// An empty database of a server that all tests of this process share.
inline Stage open_redis(const std::string& query) {
  static test::RedisServer server;
  server.command("FLUSHALL");
  auto runtime = std::make_shared<Runtime>(Runtime::Options{.loops = 1, .pin = false});
  runtime->start();
  auto engine = redis::Engine::open(server.url() + query, OpenMode::create, *runtime);
  if (!engine) throw std::runtime_error(engine.error().message);
  return {runtime, std::move(*engine)};
}

inline std::vector<Backend> backends() {
  std::vector<Backend> all{
      {"memory", [] { return Stage{nullptr, std::make_shared<MemoryEngine>()}; }},
      {"memory_posting",
       [] { return Stage{nullptr, std::make_shared<MemoryEngine>(MemoryEngine::Options{.post = true})}; }},
      {"sqlite", [] { return open_sqlite(""); }},
      {"sqlite_prefix_delete_journal", [] { return open_sqlite("?table_prefix=t1&_journal=DELETE&_sync=OFF"); }},
  };
  if (test::RedisServer::installed()) {
    all.push_back({"redis", [] { return open_redis(""); }});
    all.push_back({"redis_without_tracking", [] { return open_redis("?client-cache=false"); }});
  }
  return all;
}

inline std::string backend_name(const testing::TestParamInfo<Backend>& info) { return info.param.name; }

class EngineContract : public testing::TestWithParam<Backend> {
 protected:
  /// Runs `body(engine)` on an empty, prepared engine, then closes it.
  template <class F>
  void on_engine(F body) {
    auto stage = GetParam().open();
    test::run([&]() -> asio::awaitable<void> {
      CO_ASSERT_OK(co_await stage.engine->prepare());
      co_await body(*stage.engine);
      co_await stage.engine->close();
    });
    stage.engine.reset();
  }
};

/// The outcome; a commit that fails outright fails the test.
inline asio::awaitable<Outcome> commit(MetaEngine& engine, std::vector<Check> checks, std::vector<Write> writes) {
  Commit change{std::move(checks), std::move(writes)};
  auto outcome = co_await engine.commit(std::move(change));
  EXPECT_TRUE(outcome) << (outcome ? "" : outcome.error().message());
  co_return outcome ? std::move(*outcome) : Outcome{};
}

/// Writes that must be applied; what they returned.
inline asio::awaitable<std::vector<std::int64_t>> put(MetaEngine& engine, std::vector<Write> writes) {
  auto outcome = co_await commit(engine, {}, std::move(writes));
  EXPECT_TRUE(outcome.applied);
  co_return outcome.returned;
}

inline asio::awaitable<Record> get(MetaEngine& engine, Key key) {
  Keys keys(1, key);
  auto records = co_await engine.fetch(std::move(keys));
  EXPECT_TRUE(records) << (records ? "" : records.error().message());
  if (!records || records->size() != 1) co_return Record();
  co_return std::move(records->front());
}

template <class T>
asio::awaitable<T> get(MetaEngine& engine, Key key) {
  auto record = co_await get(engine, std::move(key));
  EXPECT_TRUE(std::holds_alternative<T>(record)) << "record of kind " << record.index();
  co_return std::holds_alternative<T>(record) ? std::get<T>(std::move(record)) : T{};
}

inline bool absent(const Record& record) { return std::holds_alternative<std::monostate>(record); }

/// A file's attribute with every field set to something of its own.
inline Attr some_file(std::uint64_t length = 12345) {
  Attr a;
  a.flags = kAppendOnly;
  a.type = FileType::file;
  a.mode = 04751;
  a.uid = 4294967294;
  a.gid = 1001;
  a.atime = {1'795'251'680, 615'150'560};
  a.mtime = {-1, 999'999'999};
  a.ctime = {253'402'300'799, 1};
  a.nlink = 3;
  a.length = length;
  a.rdev = 0x80000001;
  a.parent = Ino{7};
  a.access_acl = 5;
  a.default_acl = 6;
  a.tier = 2;
  return a;
}

inline Attr some_dir(Ino parent = kRootIno) {
  Attr a;
  a.type = FileType::directory;
  a.mode = 0755;
  a.nlink = 2;
  a.length = 4096;
  a.parent = parent;
  a.mtime = a.ctime = a.atime = {1'700'000'000, 5};
  return a;
}

}  // namespace kiseki::meta
