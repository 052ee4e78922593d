#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/runtime.hpp"
#include "meta/sqlite/engine.hpp"
#include "support/fixtures.hpp"
#include "support/run.hpp"

namespace kiseki::meta {

/// A directory of its own with a database in it, and threads to read it.
class SqliteFile {
 public:
  SqliteFile() {
    std::string pattern = (std::filesystem::temp_directory_path() / "kiseki-sqlite-XXXXXX").string();
    dir_ = ::mkdtemp(pattern.data());
  }
  ~SqliteFile() { std::filesystem::remove_all(dir_); }
  std::string path(const std::string& name = "meta.db") const { return dir_ + "/" + name; }

  Explained<std::shared_ptr<MetaEngine>> try_open(OpenMode mode, const std::string& query = "",
                                                  const std::string& name = "meta.db") {
    auto location = sqlite::Location::parse("sqlite3://" + path(name) + query);
    if (!location) return location.error();
    return sqlite::Engine::open(*location, mode, pool_);
  }
  std::shared_ptr<MetaEngine> open(OpenMode mode = OpenMode::create, const std::string& query = "") {
    auto engine = try_open(mode, query);
    EXPECT_TRUE(engine) << (engine ? "" : engine.error().message);
    return engine ? *engine : nullptr;
  }
  /// An empty volume with its tables and a setting.
  void format(const std::string& query = "") {
    auto engine = open(OpenMode::create, query);
    test::run([&]() -> asio::awaitable<void> {
      CO_ASSERT_OK(co_await engine->prepare());
      Commit commit;
      commit.writes = {PutSetting{"{}"}};
      CO_ASSERT_OK(co_await engine->commit(std::move(commit)));
      co_await engine->close();
    });
  }

 private:
  std::string dir_;
  BlockingPool pool_{"sqlite-read", 2};
};

/// Another program with the same file: plain SQLite.
class OtherProgram {
 public:
  explicit OtherProgram(const std::string& path) { EXPECT_EQ(sqlite3_open(path.c_str(), &db_), SQLITE_OK); }
  ~OtherProgram() { sqlite3_close(db_); }
  void run(const std::string& sql) {
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK)
        << sql << ": " << (error ? error : "");
    sqlite3_free(error);
  }
  std::vector<std::string> rows(const std::string& sql) {
    std::vector<std::string> all;
    auto add = [](void* out, int columns, char** values, char**) {
      std::string row;
      for (int i = 0; i < columns; ++i) row += std::string(i ? "|" : "") + (values[i] ? values[i] : "NULL");
      static_cast<std::vector<std::string>*>(out)->push_back(row);
      return 0;
    };
    EXPECT_EQ(sqlite3_exec(db_, sql.c_str(), add, &all, nullptr), SQLITE_OK) << sql;
    return all;
  }

 private:
  sqlite3* db_ = nullptr;
};

inline asio::awaitable<Outcome> write(MetaEngine& engine, std::vector<Write> writes) {
  Commit commit;
  commit.writes = std::move(writes);
  auto outcome = co_await engine.commit(std::move(commit));
  EXPECT_TRUE(outcome) << (outcome ? "" : outcome.error().message());
  co_return outcome ? *outcome : Outcome{};
}

inline asio::awaitable<Record> read(MetaEngine& engine, Key key) {
  Keys keys(1, key);
  auto records = co_await engine.fetch(std::move(keys));
  EXPECT_TRUE(records) << (records ? "" : records.error().message());
  co_return records ? records->at(0) : Record();
}

}  // namespace kiseki::meta
