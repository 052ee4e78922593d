#include "volume.hpp"

namespace kiseki::meta::test {

TEST(MetaOps, MakesFindsAndRemovesFiles) {
  Volume v;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto dir = co_await v.dir(kRootIno, "d");
    CO_ASSERT_OK(dir);
    auto file = co_await v.file(*dir, "f");
    CO_ASSERT_OK(file);
    auto again = co_await v.file(*dir, "f");
    EXPECT_EQ(error_of(again), EEXIST);
    auto found = co_await lookup(*v.client, *dir, "f");
    CO_ASSERT_OK(found);
    EXPECT_EQ(found->ino, *file);
    EXPECT_EQ(found->attr.mode, 0644);
    auto missing = co_await lookup(*v.client, *dir, "g");
    EXPECT_EQ(error_of(missing), ENOENT);
    auto full = co_await rmdir(*v.client, v.root, kRootIno, "d");
    EXPECT_EQ(error_of(full), ENOTEMPTY);
    auto gone = co_await unlink(*v.client, v.root, *dir, "f");
    CO_ASSERT_OK(gone);
    EXPECT_FALSE(gone->data_released) << "nothing was ever written to it";
    auto empty = co_await rmdir(*v.client, v.root, kRootIno, "d");
    CO_ASSERT_OK(empty);
    EXPECT_EQ(co_await v.counter(Counter::used_space), 0);
    EXPECT_EQ(co_await v.counter(Counter::total_inodes), 0);
    auto root = co_await getattr(*v.client, kRootIno);
    CO_ASSERT_OK(root);
    EXPECT_EQ(root->nlink, 2u);
  });
}

TEST(MetaOps, ANewDirectoryIsKnownCompletely) {
  Volume v;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto dir = co_await v.dir(kRootIno, "d");
    CO_ASSERT_OK(dir);
    auto absent = v.client->cached_lookup(*dir, "nothing");
    CO_ASSERT_TRUE(absent);
    EXPECT_EQ(error_of(*absent), ENOENT);
    EXPECT_FALSE(v.client->cached_lookup(kRootIno, "unknown"));
    CO_ASSERT_OK(co_await v.file(*dir, "f"));
    EXPECT_TRUE(v.client->cached_lookup(*dir, "f")->has_value());
    v.client->cache().everything_may_have_changed();
    EXPECT_FALSE(v.client->cached_lookup(*dir, "nothing"));
    EXPECT_FALSE(v.client->cached_lookup(*dir, "f"));
  });
}

TEST(MetaOps, AnEmptyFileThatWasWrittenOnceStillHasDataToRelease) {
  Volume v;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto file = co_await v.file(kRootIno, "f");
    CO_ASSERT_OK(file);
    CO_ASSERT_OK(co_await v.write(*file, kChunkBytes * 3, 10'000));
    CO_ASSERT_OK(co_await truncate(*v.client, v.root, *file, 0, false));
    auto gone = co_await unlink(*v.client, v.root, kRootIno, "f");
    CO_ASSERT_OK(gone);
    EXPECT_TRUE(gone->data_released);
  });
}

TEST(MetaOps, WhatIsAppendedGoesToTheEndThatTheFileHasThen) {
  Volume v;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto file = co_await v.file(kRootIno, "f");
    CO_ASSERT_OK(file);
    auto append = [&](std::uint32_t meant_at, std::vector<std::uint32_t> lengths) -> Async<WrittenSlices> {
      std::vector<PlacedSlice> records;
      for (auto len : lengths) {
        CO_TRY(auto id, co_await v.client->new_slice_id());
        records.push_back({ChunkIndex{0}, {meant_at, id, len, 0, len}});
        meant_at += len;
      }
      co_return co_await write_slices(*v.client, *file, std::move(records), v.clock->now(), {}, Placing::at_end);
    };
    auto first = co_await append(0, {100});
    CO_ASSERT_OK(first);
    EXPECT_FALSE(first->moved);
    auto second = co_await append(30, {50, 20});
    CO_ASSERT_OK(second);
    EXPECT_TRUE(second->moved);
    EXPECT_EQ(second->attr.length, 170u);
    auto slices = co_await read_slices(*v.client, *file, ChunkIndex{0});
    CO_ASSERT_OK(slices);
    CO_ASSERT_TRUE(slices->size() == 3);
    EXPECT_EQ((*slices)[1].pos, 100u);
    EXPECT_EQ((*slices)[2].pos, 150u);

    CO_ASSERT_OK(co_await truncate(*v.client, v.root, *file, kChunkBytes - 30, false));
    auto across = co_await append(170, {100});
    CO_ASSERT_OK(across);
    EXPECT_EQ(across->chunks.size(), 2u);
    EXPECT_EQ(across->attr.length, kChunkBytes + 70);
    auto rest = co_await read_slices(*v.client, *file, ChunkIndex{1});
    CO_ASSERT_OK(rest);
    CO_ASSERT_TRUE(rest->size() == 1);
    EXPECT_EQ((*rest)[0], (Slice{0, (*rest)[0].id, 100, 30, 70}));
    auto refs = co_await v.record(SliceRefKey{(*rest)[0].id, 100});
    EXPECT_EQ(std::get<SliceRef>(refs).refs, 2) << "two records show it";

    CO_ASSERT_OK(co_await truncate(*v.client, v.root, *file, kMaxFileBytes - 10, false));
    EXPECT_EQ((co_await append(0, {11})).error(), posix(EFBIG));
    CO_ASSERT_OK(co_await append(0, {10}));
  });
}

TEST(MetaOps, WritesGrowFilesAndCount) {
  Volume v;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto dir = co_await v.dir(kRootIno, "d");
    CO_ASSERT_OK(dir);
    auto file = co_await v.file(*dir, "f");
    CO_ASSERT_OK(file);
    CO_ASSERT_OK(co_await v.write(*file, 0, 10'000));
    CO_ASSERT_OK(co_await v.write(*file, kChunkBytes + 5, 1));
    auto attr = co_await getattr(*v.client, *file);
    CO_ASSERT_OK(attr);
    EXPECT_EQ(attr->length, kChunkBytes + 6);
    EXPECT_EQ(co_await v.counter(Counter::used_space), 4096 + used_space(kChunkBytes + 6));
    auto stat = co_await v.record(DirStatKey{*dir});
    EXPECT_EQ(std::get<DirStat>(stat),
              (DirStat{static_cast<std::int64_t>(kChunkBytes + 6), used_space(kChunkBytes + 6), 1}));

    auto cut = co_await truncate(*v.client, v.root, *file, 100, false);
    CO_ASSERT_OK(cut);
    auto slices = co_await read_slices(*v.client, *file, ChunkIndex{0});
    CO_ASSERT_OK(slices);
    CO_ASSERT_TRUE(slices->size() == 2);
    EXPECT_EQ((*slices)[1], (Slice{100, SliceId{0}, 0, 0, static_cast<std::uint32_t>(kChunkBytes - 100)}));
    auto second = co_await read_slices(*v.client, *file, ChunkIndex{1});
    CO_ASSERT_OK(second);
    CO_ASSERT_TRUE(second->size() == 2);
    EXPECT_EQ((*second)[1], (Slice{0, SliceId{0}, 0, 0, 6}));
    EXPECT_EQ(co_await v.counter(Counter::used_space), 4096 + 4096);

    CO_ASSERT_OK(co_await unlink(*v.client, v.root, *dir, "f"));
    CO_ASSERT_TRUE(v.removed_files.size() == 1);
    CO_ASSERT_OK(co_await delete_file_data(*v.client, *file, 100));
    EXPECT_EQ(v.released.size(), 2u);
    EXPECT_EQ(co_await v.counter(Counter::used_space), 4096);
  });
}

TEST(MetaOps, TimesBefore1970Survive) {
  Volume v;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto file = co_await v.file(kRootIno, "old");
    CO_ASSERT_OK(file);
    AttrChange change;
    change.set = kMtime | kAtime;
    change.to.mtime = {-86'400 * 365, 123'456'789};
    change.to.atime = {-1, 999'999'999};
    CO_ASSERT_OK(co_await setattr(*v.client, v.root, *file, change));
    auto stored = co_await v.record(AttrKey{*file});
    EXPECT_EQ(std::get<Attr>(stored).mtime, change.to.mtime);
    EXPECT_EQ(std::get<Attr>(stored).atime, change.to.atime);
  });
}

}  // namespace kiseki::meta::test
