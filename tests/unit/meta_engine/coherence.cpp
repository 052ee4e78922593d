// Several programs on one file: a cached record never outlives a foreign commit, and nobody's write lock breaks us.
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "sqlite_file.hpp"

namespace kiseki::meta {
namespace {

class Listener final : public ChangeObserver {
 public:
  void committed(const Commit&, const Outcome&) noexcept override { ++commits; }
  void changed_elsewhere(const Key&) noexcept override {}
  void entries_changed_elsewhere(Ino) noexcept override {}
  void everything_may_have_changed() noexcept override { ++drops; }
  std::atomic<int> commits{0}, drops{0};
};

TEST(SqliteCoherence, OwnCommitsKeepCachesRight) {
  SqliteFile file;
  file.format();
  Listener listener;
  auto engine = file.open(OpenMode::existing);
  engine->observe(&listener);
  EXPECT_FALSE(engine->coherent()) << "nothing is known before the first fetch";
  test::run([&]() -> asio::awaitable<void> {
    co_await read(*engine, SettingKey{});
    EXPECT_TRUE(engine->coherent());
    EXPECT_EQ(listener.drops, 1);
    for (int i = 0; i < 50; ++i) {
      co_await write(*engine, {AddCounter{Counter::next_inode, 1}});
      EXPECT_TRUE(engine->coherent()) << "when the committer resumes";
    }
    Commit refused;
    refused.checks = {AttrUnchanged{Ino{5}, {}, 0}};
    refused.writes = {AddCounter{Counter::next_inode, 1}};
    CO_ASSERT_OK(co_await engine->commit(std::move(refused)));
    EXPECT_TRUE(engine->coherent());
    EXPECT_EQ(listener.drops, 1) << "own commits drop nothing";
    EXPECT_EQ(listener.commits, 50);
    co_await engine->close();
  });
}

TEST(SqliteCoherence, AForeignCommitIsSeenAtOnce) {
  SqliteFile file;
  file.format();
  Listener listener;
  auto engine = file.open(OpenMode::existing);
  engine->observe(&listener);
  OtherProgram other(file.path());
  test::run([&]() -> asio::awaitable<void> {
    co_await read(*engine, SettingKey{});
    EXPECT_TRUE(engine->coherent());
    other.run("BEGIN IMMEDIATE");
    other.run("INSERT INTO jfs_counter VALUES('nextInode',7)");
    EXPECT_TRUE(engine->coherent()) << "not committed yet";
    other.run("COMMIT");
    EXPECT_FALSE(engine->coherent());
    EXPECT_EQ(std::get<std::int64_t>(co_await read(*engine, CounterKey{Counter::next_inode})), 7);
    EXPECT_TRUE(engine->coherent()) << "a fetch notes it";
    EXPECT_EQ(listener.drops, 2);
    other.run("UPDATE jfs_counter SET value=8");
    EXPECT_FALSE(engine->coherent());
    co_await write(*engine, {AddCounter{Counter::next_inode, 1}});
    EXPECT_TRUE(engine->coherent()) << "and so does a commit";
    EXPECT_EQ(listener.drops, 3);
    EXPECT_EQ(std::get<std::int64_t>(co_await read(*engine, CounterKey{Counter::next_inode})), 9);
    co_await engine->close();
  });
}

TEST(SqliteCoherence, TwoEnginesOnOneFile) {
  SqliteFile file;
  file.format();
  auto a = file.open(OpenMode::existing), b = file.open(OpenMode::existing);
  test::run([&]() -> asio::awaitable<void> {
    for (int i = 1; i <= 20; ++i) {
      co_await read(*b, SettingKey{});
      EXPECT_TRUE(b->coherent());
      auto outcome = co_await write(*a, {AddCounter{Counter::next_inode, 1}});
      EXPECT_EQ(outcome.returned, std::vector<std::int64_t>{2 * i});
      EXPECT_FALSE(b->coherent());
      outcome = co_await write(*b, {AddCounter{Counter::next_inode, 1}});
      EXPECT_EQ(outcome.returned, std::vector<std::int64_t>{2 * i + 1});
      EXPECT_FALSE(a->coherent());
    }
    co_await a->close();
    co_await read(*b, SettingKey{});
    EXPECT_TRUE(b->coherent()) << "the other's close breaks nothing";
    co_await write(*b, {AddCounter{Counter::next_inode, 1}});
    co_await b->close();
  });
}

TEST(SqliteCoherence, ACacheNeverAnswersWithWhatAnotherProcessReplaced) {
  SqliteFile file;
  file.format();
  auto engine = file.open(OpenMode::existing);
  test::run([&]() -> asio::awaitable<void> { co_await write(*engine, {PutCounter{Counter::used_space, 0}}); });
  // The child counts up and says so through a pipe; whatever it said is committed.
  int said[2];
  ASSERT_EQ(::pipe(said), 0);
  auto child = ::fork();
  if (child == 0) {
    OtherProgram other(file.path());
    other.run("PRAGMA busy_timeout=10000");
    for (std::int64_t i = 1; i <= 300; ++i) {
      other.run("UPDATE jfs_counter SET value=" + std::to_string(i) + " WHERE name='usedSpace'");
      if (::write(said[1], &i, sizeof(i)) != sizeof(i)) break;
    }
    ::_exit(0);
  }
  ::close(said[1]);
  test::run([&]() -> asio::awaitable<void> {
    std::int64_t cached = 0, committed = 0;
    bool have = false;
    while (::read(said[0], &committed, sizeof(committed)) == sizeof(committed)) {
      if (have && engine->coherent()) EXPECT_GE(cached, committed) << "a stale answer";
      auto record = co_await read(*engine, CounterKey{Counter::used_space});
      cached = std::get<std::int64_t>(record);
      EXPECT_GE(cached, committed);
      have = true;
    }
    co_await engine->close();
  });
  ::close(said[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(SqliteCoherence, WithoutAWalThereIsNone) {
  SqliteFile file;
  file.format("?_journal=DELETE");
  auto engine = file.open(OpenMode::existing, "?_journal=DELETE");
  test::run([&]() -> asio::awaitable<void> {
    co_await read(*engine, SettingKey{});
    co_await write(*engine, {AddCounter{Counter::next_inode, 1}});
    EXPECT_FALSE(engine->coherent());
    co_await engine->close();
  });
}

TEST(SqliteBusy, AForeignWriteLockIsWaitedFor) {
  SqliteFile file;
  file.format();
  auto engine = file.open(OpenMode::existing);
  OtherProgram other(file.path());
  other.run("BEGIN IMMEDIATE");
  auto begin = std::chrono::steady_clock::now();
  std::thread holder([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    other.run("COMMIT");
  });
  test::run([&]() -> asio::awaitable<void> {
    co_await read(*engine, SettingKey{});
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(600))
        << "readers do not wait for writers";
    auto outcome = co_await write(*engine, {AddCounter{Counter::next_inode, 1}});
    EXPECT_TRUE(outcome.applied);
    EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(600));
    co_await engine->close();
  });
  holder.join();
}

TEST(SqliteBusy, PatienceEndsWithATimeout) {
  SqliteFile file;
  file.format();
  auto engine = file.open(OpenMode::existing, "?_timeout=50");
  OtherProgram other(file.path());
  other.run("BEGIN IMMEDIATE");
  test::run([&]() -> asio::awaitable<void> {
    for (int i = 0; i < 2; ++i) {
      Commit commit;
      commit.writes = {AddCounter{Counter::next_inode, 1}};
      auto outcome = co_await engine->commit(std::move(commit));
      EXPECT_FALSE(outcome);
      if (!outcome) EXPECT_EQ(outcome.error(), posix(ETIMEDOUT));
    }
    other.run("ROLLBACK");
    auto outcome = co_await write(*engine, {AddCounter{Counter::next_inode, 1}});
    EXPECT_EQ(outcome.returned, std::vector<std::int64_t>{2}) << "what timed out did not happen";
    co_await engine->close();
  });
}

TEST(SqliteBatch, OnePoisonousCommitHurtsNobodyElse) {
  SqliteFile file;
  file.format();
  auto engine = file.open(OpenMode::existing);
  OtherProgram other(file.path());
  other.run("INSERT INTO jfs_chunk(inode,indx,slices) VALUES(66,0,x'010203')");
  other.run("BEGIN IMMEDIATE");  // so that they meet in one batch
  std::atomic<int> fine{0}, refused{0}, corrupt{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&, i] {
      test::run([&, i]() -> asio::awaitable<void> {
        Commit commit;
        commit.writes = {AddCounter{Counter::next_inode, 1}};
        if (i == 1) commit.writes.push_back(AppendSlices{{Ino{66}, ChunkIndex{0}}, {Slice{}}});
        if (i == 2) commit.writes.push_back(ReplaceSlices{{Ino{67}, ChunkIndex{0}}, 1, 1, {}});
        auto outcome = co_await engine->commit(std::move(commit));
        if (!outcome) {
          EXPECT_EQ(outcome.error(), posix(EIO));
          ++corrupt;
        } else {
          ++(outcome->applied ? fine : refused);
        }
      });
    });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  other.run("COMMIT");
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(fine, 1);
  EXPECT_EQ(refused, 1);
  EXPECT_EQ(corrupt, 1);
  test::run([&]() -> asio::awaitable<void> {
    EXPECT_EQ(std::get<std::int64_t>(co_await read(*engine, CounterKey{Counter::next_inode})), 2);
    Keys keys{ChunkKey{Ino{66}, ChunkIndex{0}}};
    auto records = co_await engine->fetch(std::move(keys));
    EXPECT_FALSE(records) << "a corrupt record is an error";
    EXPECT_EQ(std::get<Slices>(co_await read(*engine, ChunkKey(Ino{68}, ChunkIndex{0}))), Slices())
        << "and only of its own request";
    co_await engine->close();
  });
}

}  // namespace
}  // namespace kiseki::meta
