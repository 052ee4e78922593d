// What cannot be opened is said in one sentence, and nothing is left behind.
#include <sys/stat.h>

#include <fstream>

#include "sqlite_file.hpp"

namespace kiseki::meta {
namespace {

std::string refusal(const Explained<std::shared_ptr<MetaEngine>>& engine) {
  return engine ? "(opened)" : engine.error().message;
}
bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(SqliteOpen, AMissingVolumeIsNotMade) {
  SqliteFile file;
  for (auto mode : {OpenMode::existing, OpenMode::read_only}) {
    auto why = refusal(file.try_open(mode));
    EXPECT_TRUE(has(why, "no volume at " + file.path())) << why;
    EXPECT_TRUE(has(why, "kiseki format")) << why;
    EXPECT_FALSE(std::filesystem::exists(file.path()));
  }
}

TEST(SqliteOpen, AnEmptyDatabaseHoldsNoVolume) {
  SqliteFile file;
  std::ofstream(file.path()).close();
  EXPECT_TRUE(has(refusal(file.try_open(OpenMode::existing)), "no volume at"));
  {
    OtherProgram(file.path()).run("CREATE TABLE t(x)");
  }
  EXPECT_TRUE(has(refusal(file.try_open(OpenMode::read_only)), "no volume at"));
  file.format();
  EXPECT_TRUE(has(refusal(file.try_open(OpenMode::existing, "?table_prefix=other")), "no volume at"));
}

TEST(SqliteOpen, WhatIsNoDatabase) {
  SqliteFile file;
  std::ofstream(file.path()) << std::string(8192, 'x');
  for (auto mode : {OpenMode::existing, OpenMode::read_only, OpenMode::create})
    EXPECT_TRUE(has(refusal(file.try_open(mode)), "is not a SQLite database")) << refusal(file.try_open(mode));
  EXPECT_EQ(std::filesystem::file_size(file.path()), 8192u);
  EXPECT_TRUE(has(refusal(file.try_open(OpenMode::create, "", ".")), "is a directory"));
  EXPECT_TRUE(has(refusal(file.try_open(OpenMode::create, "", "none/x.db")), "there is no directory"));
}

TEST(SqliteOpen, ADamagedDatabase) {
  SqliteFile file;
  file.format();
  {
    std::fstream raw(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    raw.seekp(100);
    raw << std::string(3000, '\xee');  // the root of sqlite_master
  }
  auto why = refusal(file.try_open(OpenMode::existing));
  EXPECT_TRUE(has(why, "is damaged")) << why;
}

TEST(SqliteOpen, FilesFollowTheUmask) {
  SqliteFile file;
  auto old = ::umask(002);
  file.format();
  auto engine = file.open(OpenMode::existing);
  test::run([&]() -> asio::awaitable<void> { co_await write(*engine, {AddCounter{Counter::next_inode, 1}}); });
  for (auto* suffix : {"", "-wal", "-shm"}) {
    struct stat st{};
    EXPECT_EQ(::stat((file.path() + suffix).c_str(), &st), 0) << suffix;
    EXPECT_EQ(st.st_mode & 0777, 0664u) << suffix;
  }
  ::umask(old);
}

TEST(SqliteOpen, ReadOnlyReadsAndRefusesWrites) {
  SqliteFile file;
  file.format();
  auto engine = file.open(OpenMode::read_only);
  test::run([&]() -> asio::awaitable<void> {
    EXPECT_EQ(std::get<std::string>(co_await read(*engine, SettingKey{})), "{}");
    Commit asking;
    asking.checks = {AttrAbsent{Ino{5}}};
    auto asked = co_await engine->commit(std::move(asking));
    CO_ASSERT_OK(asked);
    EXPECT_TRUE(asked->applied);
    Commit writing;
    writing.writes = {AddCounter{Counter::next_inode, 1}};
    auto written = co_await engine->commit(std::move(writing));
    EXPECT_FALSE(written);
    if (!written) EXPECT_EQ(written.error(), posix(EROFS));
    co_await engine->close();
  });
}

TEST(SqliteOpen, CommitsSurviveWithoutAClose) {
  SqliteFile file;
  file.format();
  {
    auto engine = file.open(OpenMode::existing);
    test::run([&]() -> asio::awaitable<void> { co_await write(*engine, {PutCounter{Counter::next_inode, 4711}}); });
  }  // destroyed, not closed
  auto engine = file.open(OpenMode::existing);
  test::run([&]() -> asio::awaitable<void> {
    EXPECT_EQ(std::get<std::int64_t>(co_await read(*engine, CounterKey{Counter::next_inode})), 4711);
    co_await engine->close();
  });
}

}  // namespace
}  // namespace kiseki::meta
