// The VFS that gathers a commit's frames: the file is as SQLite writes it, and nothing of a failed commit reaches it.
#include "meta/sqlite/wal_gather.hpp"

#include <sys/resource.h>

#include <csignal>

#include "sqlite_file.hpp"

namespace kiseki::meta::sqlite {
namespace {

constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;

/// A database in WAL mode, opened as the engine's writer opens it.
class Gathering {
 public:
  explicit Gathering(const SqliteFile& file, const std::string& synchronous = "NORMAL")
      : db(file.path(), kFlags, "", gathering_vfs()) {
    EXPECT_EQ(db.ask("PRAGMA journal_mode=WAL"), "wal");
    db.exec("PRAGMA synchronous=" + synchronous);
    db.exec("PRAGMA cache_spill=OFF");
    db.exec("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, body BLOB)");
  }
  void add(int rows, int bytes) {
    db.exec("INSERT INTO t(body) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<" +
            std::to_string(rows) + ") SELECT randomblob(" + std::to_string(bytes) + ") FROM n");
  }
  Connection db;
};

/// What a program that knows nothing of us finds.
void expect_rows(const SqliteFile& file, const std::string& rows) {
  OtherProgram other(file.path());
  EXPECT_EQ(other.rows("SELECT count(*) FROM t").at(0), rows);
  EXPECT_EQ(other.rows("PRAGMA integrity_check").at(0), "ok");
}

TEST(WalGather, OthersReadEveryCommitAtOnce) {
  ASSERT_NE(gathering_vfs(), nullptr);
  for (auto* synchronous : {"OFF", "NORMAL", "FULL"}) {
    SqliteFile file;
    Gathering writer(file, synchronous);
    int rows = 0;
    for (int size : {1, 1, 50, 1, 2000}) {  // the last is larger than what is gathered at once
      writer.add(size, 1000);
      rows += size;
      expect_rows(file, std::to_string(rows));
    }
  }
}

TEST(WalGather, WritersTakeTurnsOnOneLog) {
  SqliteFile file;
  Gathering writer(file);
  OtherProgram other(file.path());
  for (int i = 0; i < 20; ++i) {
    writer.add(3, 2000);
    other.run("INSERT INTO t(body) VALUES(randomblob(3000))");
    if (i % 5 == 4) other.run("PRAGMA wal_checkpoint(TRUNCATE)");  // then the log begins anew
  }
  expect_rows(file, "80");
}

TEST(WalGather, ARolledBackTransactionLeavesNothing) {
  SqliteFile file;
  Gathering writer(file);
  writer.add(1, 100);
  writer.db.exec("BEGIN IMMEDIATE");
  writer.add(500, 4000);
  writer.db.rollback();
  discard_gathered(writer.db);
  writer.add(1, 100);
  expect_rows(file, "2");
}

TEST(WalGather, ACommitThatFindsNoRoomFailsAndTheNextOneIsGood) {
  SqliteFile file;
  Gathering writer(file);
  writer.add(1, 100);
  auto before = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  auto log_bytes = std::filesystem::file_size(file.path("meta.db-wal"));
  rlimit tight{log_bytes + 20'000, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  EXPECT_THROW(writer.add(100, 4000), SqlError);
  discard_gathered(writer.db);
  writer.db.rollback();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  std::signal(SIGXFSZ, before);
  expect_rows(file, "1");
  writer.add(5, 4000);
  expect_rows(file, "6");
}

}  // namespace
}  // namespace kiseki::meta::sqlite
