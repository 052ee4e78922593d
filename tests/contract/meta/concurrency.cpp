// Two loops race on one engine: nothing is lost, nothing half done is ever seen.
#include <atomic>
#include <set>
#include <thread>

#include "engine_contract.hpp"

namespace kiseki::meta {
namespace {

/// Runs `work(index)` on loops of their own at the same time.
template <class F>
void race(int loops, F work) {
  std::vector<std::thread> threads;
  for (int i = 0; i < loops; ++i)
    threads.emplace_back([i, &work] {
      test::run([i, &work]() -> asio::awaitable<void> { co_await work(i); }, std::chrono::seconds(60));
    });
  for (auto& thread : threads) thread.join();
}

template <class F>
void on_stage(const Stage& stage, F body) {
  test::run([&]() -> asio::awaitable<void> { co_await body(*stage.engine); });
}

TEST_P(EngineContract, ACommitUnderWayIsNotCancelled) {
  auto stage = GetParam().open();
  on_stage(stage, [](MetaEngine& e) -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await e.prepare());
    auto work = [&]() -> Async<Outcome> {
      Commit commit;
      commit.writes.push_back(AddCounter{Counter::used_space, 1});
      co_return co_await e.commit(std::move(commit));
    };
    auto cancelled = work();
    auto outcome = co_await with_timeout(std::chrono::milliseconds(0), std::move(cancelled));
    EXPECT_TRUE(outcome && outcome->applied);
    EXPECT_EQ(co_await get<std::int64_t>(e, CounterKey{Counter::used_space}), 1);
    co_await e.close();
  });
}

TEST_P(EngineContract, NoIncrementIsLost) {
  auto stage = GetParam().open();
  on_stage(stage, [](MetaEngine& e) -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await e.prepare());
    co_await put(e, {AddSliceRef{SliceId{1}, 1, 0, true}});
  });
  static constexpr int kLoops = 3, kEach = 150;
  std::vector<std::vector<std::int64_t>> got(kLoops);
  race(kLoops, [&](int i) -> asio::awaitable<void> {
    for (int n = 0; n < kEach; ++n) {
      auto values = co_await put(*stage.engine, {AddCounter{Counter::next_inode, 1}, AddSliceRef{SliceId{1}, 1, 1}});
      if (values.size() == 2) got[static_cast<std::size_t>(i)].push_back(values[0]);
    }
  });
  std::set<std::int64_t> distinct;
  for (auto& values : got) distinct.insert(values.begin(), values.end());
  EXPECT_EQ(distinct.size(), static_cast<std::size_t>(kLoops * kEach)) << "ids are handed out once";
  on_stage(stage, [](MetaEngine& e) -> asio::awaitable<void> {
    EXPECT_EQ(co_await get<std::int64_t>(e, CounterKey{Counter::next_inode}), 1 + kLoops * kEach);
    EXPECT_EQ((co_await get<SliceRef>(e, SliceRefKey{SliceId{1}, 1})).refs, kLoops * kEach);
    co_await e.close();
  });
}

TEST_P(EngineContract, OneOfManyCreatesWins) {
  auto stage = GetParam().open();
  on_stage(stage, [](MetaEngine& e) -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await e.prepare());
    co_await put(e, {PutAttr{Ino{1}, some_dir()}, PutDirStat{Ino{1}, {}}});
  });
  static constexpr int kLoops = 3, kNames = 60;
  std::vector<int> wins(kNames, 0);
  std::mutex mutex;
  race(kLoops, [&](int i) -> asio::awaitable<void> {
    for (int n = 0; n < kNames; ++n) {
      EntryKey key{Ino{1}, "n" + std::to_string(n)};
      Ino ino{static_cast<std::uint64_t>(1000 * (i + 1) + n)};
      auto outcome = co_await commit(
          *stage.engine, {AttrUnchanged{Ino{1}, some_dir(), kDirIdentity}, Unchanged{key, {}}},
          {PutEntry{key, {ino, FileType::file}}, PutAttr{ino, some_file(1)},
           PatchAttr{Ino{1}, kMtime | kCtime, some_dir(), 0, false}, AddCounter{Counter::total_inodes, 1},
           AddCounter{Counter::used_space, 4096}, AddDirStat{Ino{1}, {1, 4096, 1}}});
      std::lock_guard lock(mutex);
      if (outcome.applied) ++wins[static_cast<std::size_t>(n)];
      if (!outcome.applied) EXPECT_EQ(outcome.failed, (std::vector<std::size_t>{1}));
    }
  });
  for (auto won : wins) EXPECT_EQ(won, 1);
  on_stage(stage, [](MetaEngine& e) -> asio::awaitable<void> {
    EXPECT_EQ(co_await get<std::int64_t>(e, CounterKey{Counter::total_inodes}), kNames);
    EXPECT_EQ(co_await get<DirStat>(e, DirStatKey{Ino{1}}), (DirStat{kNames, kNames * 4096, kNames}));
    auto page = co_await e.scan_entries(Ino{1}, "", 1000, true);
    CO_ASSERT_OK(page);
    EXPECT_EQ(page->entries.size(), static_cast<std::size_t>(kNames));
    for (auto& listed : page->entries) EXPECT_TRUE(listed.attr);
    co_await e.close();
  });
}

TEST_P(EngineContract, ReadersSeeCommitsWhole) {
  auto stage = GetParam().open();
  on_stage(stage, [](MetaEngine& e) -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await e.prepare());
    co_await put(e, {PutSymlink{Ino{1}, "0"}, PutSymlink{Ino{2}, "0"}, PutCounter{Counter::used_space, 0}});
  });
  std::atomic<bool> done{false};
  race(2, [&](int i) -> asio::awaitable<void> {
    auto& e = *stage.engine;
    if (i == 0) {
      for (int n = 1; n <= 200; ++n)
        co_await put(e, {PutSymlink{Ino{1}, std::to_string(n)}, AddCounter{Counter::used_space, 1},
                         PutSymlink{Ino{2}, std::to_string(n)}});
      done = true;
      co_return;
    }
    std::int64_t last = 0;
    while (!done) {
      Keys keys{SymlinkKey{Ino{2}}, CounterKey{Counter::used_space}, SymlinkKey{Ino{1}}};
      auto records = co_await e.fetch(std::move(keys));
      CO_ASSERT_OK(records);
      EXPECT_EQ((*records)[0], (*records)[2]);
      auto now = std::get<std::int64_t>((*records)[1]);
      EXPECT_EQ(std::get<std::string>((*records)[0]), std::to_string(now));
      EXPECT_GE(now, last) << "time does not run back";
      last = now;
    }
  });
  on_stage(stage, [](MetaEngine& e) -> asio::awaitable<void> { co_await e.close(); });
}

TEST_P(EngineContract, ACommitIsReadAtOnce) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    for (int n = 0; n < 100; ++n) {
      co_await put(e, {PutSymlink{Ino{1}, std::to_string(n)}});
      EXPECT_EQ(co_await get<std::string>(e, SymlinkKey{Ino{1}}), std::to_string(n));
    }
  });
}

}  // namespace
}  // namespace kiseki::meta
