// Several records of one slice, as a compaction leaves them around holes: each is a reference, on every engine.
#include "engine_contract.hpp"
#include "meta/client.hpp"
#include "meta/housekeeper.hpp"
#include "meta/ops.hpp"
#include "meta/volume_format.hpp"

namespace kiseki::meta {
namespace {

constexpr ChunkIndex kFirst{0};

/// A volume with one file, and what becomes free on it.
struct Compacted : DataReaper {
  Compacted(std::shared_ptr<MetaEngine> on, int trash_days) : engine(std::move(on)) {
    format.name = "test";
    format.trash_days = trash_days;
  }
  asio::awaitable<void> open() {
    auto made = co_await format_volume(*engine, format, *clock);
    CO_ASSERT_TRUE(made.has_value());
    client = std::make_unique<Client>(engine, *made, clock, ClientOptions{});
    client->set_session(SessionId{1});
    client->set_reaper(this);
    auto inode = co_await make(*client, {}, kRootIno, "f", {FileType::file, 0644, 0, 0, {}});
    CO_ASSERT_OK(inode);
    file = inode->ino;
  }
  void file_removed(Ino, std::uint64_t length) override { removed_length = length; }
  void slices_released(std::vector<DelayedSlice> slices) override {
    released.insert(released.end(), slices.begin(), slices.end());
  }
  asio::awaitable<Slices> list() {
    auto records = co_await read_slices(*client, file, kFirst);
    EXPECT_TRUE(records);
    co_return records ? std::move(*records) : Slices();
  }
  /// Three writes with holes between them, twice over; then what a compaction makes of them.
  asio::awaitable<void> compact() {
    for (std::uint32_t i = 0; i < 6; ++i) {
      Slice one{i % 3 * 10'000, SliceId{100 + i}, 100, 0, 100};
      CO_ASSERT_OK(co_await write_slice(*client, file, kFirst, one, clock->now()));
    }
    auto seen = co_await list();
    CompactedSlice with{kNew.id, kNew.size, kept};
    CO_ASSERT_OK(co_await compacted(*client, file, kFirst, seen, 0, 6, with));
    EXPECT_EQ(co_await list(), kept);
  }

  static constexpr DelayedSlice kNew{SliceId{900}, 300};
  Slices kept{{0, kNew.id, 300, 0, 100}, {10'000, kNew.id, 300, 100, 100}, {20'000, kNew.id, 300, 200, 100}};
  std::shared_ptr<MetaEngine> engine;
  std::shared_ptr<ManualClock> clock = std::make_shared<ManualClock>();
  Format format;
  std::unique_ptr<Client> client;
  Ino file;
  std::uint64_t removed_length = 0;
  std::vector<DelayedSlice> released;
};

class CompactionContract : public EngineContract {
 protected:
  template <class F>
  void on_volume(int trash_days, F body) {
    auto stage = GetParam().open();
    test::run([&]() -> asio::awaitable<void> {
      CO_ASSERT_OK(co_await stage.engine->prepare());
      Compacted volume(stage.engine, trash_days);
      co_await volume.open();
      co_await body(volume);
      volume.client.reset();
      co_await stage.engine->close();
    });
  }
};

TEST_P(CompactionContract, EachRecordIsAReference) {
  on_volume(0, [](Compacted& v) -> asio::awaitable<void> {
    co_await v.compact();
    EXPECT_EQ(v.released.size(), 6u) << "of what was replaced nothing is left";
    // The next one takes two of the three away: the objects must stay for the third.
    v.released.clear();
    CompactedSlice next{
        SliceId{901}, 200, {{10'000, SliceId{901}, 200, 0, 100}, {20'000, SliceId{901}, 200, 100, 100}}};
    CO_ASSERT_OK(co_await compacted(*v.client, v.file, kFirst, v.kept, 1, 2, next));
    EXPECT_TRUE(v.released.empty());
    EXPECT_EQ(co_await v.list(), (Slices{v.kept[0], next.records[0], next.records[1]}));
    // A copy refers to one of them once more, then the file goes.
    auto copy = co_await make(*v.client, {}, kRootIno, "copy", {FileType::file, 0644, 0, 0, {}});
    CO_ASSERT_OK(copy);
    CO_ASSERT_OK(co_await copy_range(*v.client, {}, v.file, 10'000, copy->ino, 0, 100, false));
    CO_ASSERT_OK(co_await unlink(*v.client, {}, kRootIno, "f"));
    CO_ASSERT_OK(co_await delete_file_data(*v.client, v.file, v.removed_length));
    EXPECT_EQ(v.released, (std::vector<DelayedSlice>{Compacted::kNew})) << "the copy holds the other";
    CO_ASSERT_OK(co_await unlink(*v.client, {}, kRootIno, "copy"));
    CO_ASSERT_OK(co_await delete_file_data(*v.client, copy->ino, v.removed_length));
    EXPECT_EQ(v.released, (std::vector<DelayedSlice>{Compacted::kNew, {SliceId{901}, 200}}));
  });
}

TEST_P(CompactionContract, WithTrashEachRecordIsDelayed) {
  on_volume(1, [](Compacted& v) -> asio::awaitable<void> {
    co_await v.compact();
    CompactedSlice next{SliceId{901}, 100, {{10'000, SliceId{901}, 100, 0, 100}}};
    CO_ASSERT_OK(co_await compacted(*v.client, v.file, kFirst, v.kept, 1, 2, next));
    CompactedSlice none{SliceId{902}, 0, {}};  // a list of holes alone; what it hid is delayed too
    CO_ASSERT_OK(co_await compacted(*v.client, v.file, kFirst, {v.kept[0], next.records[0]}, 1, 1, none));
    EXPECT_EQ(co_await v.list(), (Slices{v.kept[0]}));
    EXPECT_TRUE(v.released.empty());
    Housekeeper keeper(*v.client, co_await asio::this_coro::executor, {});
    v.clock->advance(std::chrono::hours(49));
    CO_ASSERT_OK(co_await keeper.expire_trash());
    std::set<std::uint64_t> ids;
    for (auto& slice : v.released) EXPECT_TRUE(ids.insert(slice.id.value).second);
    EXPECT_EQ(ids, (std::set<std::uint64_t>{100, 101, 102, 103, 104, 105, 901})) << "one record of 900 is left";
    co_await keeper.close();
  });
}

TEST_P(CompactionContract, TheLoserGivesItsSliceBack) {
  on_volume(0, [](Compacted& v) -> asio::awaitable<void> {
    co_await v.compact();
    v.released.clear();
    CompactedSlice late{SliceId{903}, 200, {{0, SliceId{903}, 200, 0, 100}, {10'000, SliceId{903}, 200, 100, 100}}};
    auto done = co_await compacted(*v.client, v.file, kFirst, {v.kept[1], v.kept[0]}, 0, 2, late);
    EXPECT_FALSE(done);
    EXPECT_EQ(v.released, (std::vector<DelayedSlice>{{SliceId{903}, 200}}));
    CO_ASSERT_OK(co_await forget_slice(*v.client, SliceId{903}, 200));
    auto dead = co_await v.engine->scan_dead_slices(10);
    CO_ASSERT_OK(dead);
    EXPECT_EQ(dead->size(), 6u) << "those that the first compaction replaced, not the one that was forgotten";
    CompactedSlice nothing{SliceId{904}, 0, {}};
    EXPECT_FALSE(co_await compacted(*v.client, v.file, kFirst, {v.kept[1]}, 0, 1, nothing));
    EXPECT_EQ(v.released.size(), 1u) << "what has no objects is not given back";
    EXPECT_EQ(co_await v.list(), v.kept);
  });
}

INSTANTIATE_TEST_SUITE_P(AllEngines, CompactionContract, testing::ValuesIn(backends()), backend_name);

}  // namespace
}  // namespace kiseki::meta
