// What single writes do beyond putting and erasing, and that a commit is all or nothing.
#include "engine_contract.hpp"

namespace kiseki::meta {
namespace {

TEST_P(EngineContract, PatchChangesOnlyWhatItNames) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    auto attr = some_file();
    co_await put(e, {PutAttr{Ino{5}, attr}});
    Attr to;  // differs in every field
    to.type = FileType::fifo;
    to.mtime = {77, 123'456'789};
    for (std::uint32_t bit = 1; bit < kAllFields; bit <<= 1) {
      PatchAttr change{Ino{5}, bit, to, 0, false};
      auto expected = attr;
      if (bit == kFlags) expected.flags = to.flags;
      if (bit == kType) expected.type = to.type;
      if (bit == kMode) expected.mode = to.mode;
      if (bit == kUid) expected.uid = to.uid;
      if (bit == kGid) expected.gid = to.gid;
      if (bit == kAtime) expected.atime = to.atime;
      if (bit == kMtime) expected.mtime = to.mtime;
      if (bit == kCtime) expected.ctime = to.ctime;
      if (bit == kNlink) expected.nlink = to.nlink;
      if (bit == kLength) expected.length = to.length;
      if (bit == kRdev) expected.rdev = to.rdev;
      if (bit == kParent) expected.parent = to.parent;
      if (bit == kAccessAcl) expected.access_acl = to.access_acl;
      if (bit == kDefaultAcl) expected.default_acl = to.default_acl;
      if (bit == kTier) expected.tier = to.tier;
      co_await put(e, {change});
      EXPECT_EQ(co_await get<Attr>(e, AttrKey{Ino{5}}), expected) << "field " << bit;
      co_await put(e, {PutAttr{Ino{5}, attr}});
    }
  });
}

TEST_P(EngineContract, PatchAddsLinksAndGrowsLengths) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    auto attr = some_file(1000);
    co_await put(e, {PutAttr{Ino{5}, attr}});
    Attr to;
    to.mtime = {50, 1'234}, to.ctime = {-60, 999'999'999}, to.length = 1500;
    for (auto set : {kMtime | kCtime, kMtime | kCtime | kMode, 0u}) {
      co_await put(
          e, {PutAttr{Ino{5}, attr}, PatchAttr{Ino{5}, set, to, 2, false}, PatchAttr{Ino{5}, set, to, -1, false}});
      auto now = co_await get<Attr>(e, AttrKey{Ino{5}});
      EXPECT_EQ(now.nlink, attr.nlink + 1);
      EXPECT_EQ(now.length, 1000u);
      EXPECT_EQ(now.mtime, set ? to.mtime : attr.mtime);
      EXPECT_EQ(now.ctime, set ? to.ctime : attr.ctime);
      co_await put(e, {PatchAttr{Ino{5}, set, to, 0, true}});
      EXPECT_EQ((co_await get<Attr>(e, AttrKey{Ino{5}})).length, 1500u);
      auto shorter = to;
      shorter.length = 7;
      co_await put(e, {PatchAttr{Ino{5}, set, shorter, 1, true}});
      now = co_await get<Attr>(e, AttrKey{Ino{5}});
      EXPECT_EQ(now.length, 1500u) << "a file does not shrink by being written";
      EXPECT_EQ(now.nlink, attr.nlink + 2);
    }
  });
}

TEST_P(EngineContract, PatchingTheAbsentIsAConflict) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    for (auto set : {kMtime | kCtime, std::uint32_t{kMode}}) {
      auto outcome = co_await commit(
          e, {}, {AddCounter{Counter::used_space, 1}, PutSymlink{Ino{5}, "t"}, PatchAttr{Ino{5}, set, {}, 0, false}});
      EXPECT_FALSE(outcome.applied);
      EXPECT_TRUE(outcome.failed.empty());
      EXPECT_TRUE(absent(co_await get(e, SymlinkKey{Ino{5}})));
      EXPECT_TRUE(absent(co_await get(e, CounterKey{Counter::used_space})));
    }
    auto erased = co_await commit(
        e, {}, {PutAttr{Ino{5}, some_file()}, EraseAttr{Ino{5}}, PatchAttr{Ino{5}, kMtime | kCtime, {}, 0, false}});
    EXPECT_FALSE(erased.applied) << "erased by the same commit";
    EXPECT_TRUE(absent(co_await get(e, AttrKey{Ino{5}})));
  });
}

TEST_P(EngineContract, ReplaceSlicesInTheMiddle) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    ChunkKey key{Ino{5}, ChunkIndex{1}};
    Slice a{0, SliceId{1}, 10, 0, 10}, b{0, SliceId{2}, 10, 0, 10}, c{0, SliceId{3}, 10, 0, 10},
        d{0, SliceId{4}, 10, 0, 10};
    co_await put(e, {AppendSlices{key, {a, b, c}}});
    co_await put(e, {ReplaceSlices{key, 1, 1, {d, d}}});
    EXPECT_EQ(co_await get<Slices>(e, key), (Slices{a, d, d, c}));
    co_await put(e, {ReplaceSlices{key, 0, 3, {}}});
    EXPECT_EQ(co_await get<Slices>(e, key), (Slices{c}));
    for (auto& beyond :
         {ReplaceSlices{key, 0, 2, {d}}, ReplaceSlices{key, 2, 0, {d}}, ReplaceSlices{key, 1, 0xFFFFFFFF, {d}}}) {
      auto outcome = co_await commit(e, {}, {PutSymlink{Ino{9}, "t"}, beyond});
      EXPECT_FALSE(outcome.applied);
      EXPECT_TRUE(absent(co_await get(e, SymlinkKey{Ino{9}})));
    }
    co_await put(e, {ReplaceSlices{key, 0, 1, {}}});
    auto chunks = co_await e.scan_chunks(Ino{5}, 3 * kChunkBytes);
    CO_ASSERT_OK(chunks);
    EXPECT_TRUE(chunks->empty()) << "an emptied chunk is erased";
  });
}

TEST_P(EngineContract, WritesApplyInOrder) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    auto values =
        co_await put(e, {AddCounter{Counter::next_slice, 5}, PutCounter{Counter::next_slice, 100},
                         AddCounter{Counter::next_slice, 1}, AppendSlices{{Ino{5}, ChunkIndex{0}}, {Slice{}}},
                         EraseChunk{{Ino{5}, ChunkIndex{0}}}, AppendSlices{{Ino{5}, ChunkIndex{0}}, {Slice{}, Slice{}}},
                         AddSliceRef{SliceId{1}, 1, 4, true}});
    EXPECT_EQ(values, (std::vector<std::int64_t>{6, 101, 1, 2, 4}));
    co_await put(e, {PutEntry{{Ino{1}, "a"}, {Ino{5}, FileType::file}}, EraseEntry{{Ino{1}, "a"}},
                     PutAttr{Ino{6}, some_file()}, EraseAttr{Ino{6}}, PutAttr{Ino{6}, some_dir()}});
    EXPECT_TRUE(absent(co_await get(e, EntryKey{Ino{1}, "a"})));
    EXPECT_EQ(co_await get<Attr>(e, AttrKey{Ino{6}}), some_dir());
  });
}

TEST_P(EngineContract, DirectoryStatistics) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    DirStatKey key{Ino{5}};
    EXPECT_TRUE(absent(co_await get(e, key)));
    co_await put(e,
                 {PutDirStat{Ino{5}, {0, 0, 0}}, AddDirStat{Ino{5}, {100, 4096, 1}}, AddDirStat{Ino{5}, {50, 0, 0}}});
    EXPECT_EQ(co_await get<DirStat>(e, key), (DirStat{150, 4096, 1}));
    co_await put(e, {AddDirStat{Ino{5}, {-150, -4096, -1}}});
    EXPECT_EQ(co_await get<DirStat>(e, key), DirStat());
    co_await put(e, {AddDirStat{Ino{5}, {1, 1, 1}}, PutDirStat{Ino{5}, {7, 8, 9}}});
    EXPECT_EQ(co_await get<DirStat>(e, key), (DirStat{7, 8, 9}));
    co_await put(e, {AddDirStat{Ino{5}, {1, 1, 1}}, EraseDirStat{Ino{5}}});
    EXPECT_TRUE(absent(co_await get(e, key)));
  });
}

TEST_P(EngineContract, MissingDirectoryStatisticsAreCounted) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    auto file = some_file(5000), empty = some_file(0), link = some_file(5);
    link.type = FileType::symlink;
    co_await put(e,
                 {PutAttr{Ino{5}, some_dir()}, PutAttr{Ino{10}, file}, PutAttr{Ino{11}, empty}, PutAttr{Ino{12}, link},
                  PutAttr{Ino{13}, some_dir()}, PutEntry{{Ino{5}, "file"}, {Ino{10}, FileType::file}},
                  PutEntry{{Ino{5}, "hard link"}, {Ino{10}, FileType::file}},
                  PutEntry{{Ino{5}, "empty"}, {Ino{11}, FileType::file}},
                  PutEntry{{Ino{5}, "link"}, {Ino{12}, FileType::symlink}},
                  PutEntry{{Ino{5}, "dir"}, {Ino{13}, FileType::directory}},
                  PutEntry{{Ino{5}, "dangling"}, {Ino{99}, FileType::file}},
                  PutEntry{{Ino{6}, "elsewhere"}, {Ino{10}, FileType::file}}});
    // The delta of the commit that finds the record missing is in its entries already: it must not count twice.
    co_await put(e, {AddDirStat{Ino{5}, {5000, 8192, 1}}, PutAttr{Ino{14}, file},
                     PutEntry{{Ino{5}, "late"}, {Ino{14}, FileType::file}}, AddDirStat{Ino{5}, {0, 0, 0}}});
    EXPECT_EQ(co_await get<DirStat>(e, DirStatKey{Ino{5}}), (DirStat{15000, 3 * 8192 + 3 * 4096, 6}));
    co_await put(e, {AddDirStat{Ino{5}, {1, 4096, 1}}});
    EXPECT_EQ(co_await get<DirStat>(e, DirStatKey{Ino{5}}), (DirStat{15001, 3 * 8192 + 4 * 4096, 7}));
    co_await put(e, {AddDirStat{Ino{99}, {1, 1, 1}}});
    EXPECT_TRUE(absent(co_await get(e, DirStatKey{Ino{99}}))) << "no statistics of a directory that is gone";
  });
}

TEST_P(EngineContract, AConflictLeavesNothingBehind) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    RangeLocks ranges{SessionId{1}, 1, {{1, 1, 0, 0}}};
    std::vector<Write> all{PutAttr{Ino{5}, some_file()},
                           PutEntry{{Ino{1}, "x"}, {Ino{5}, FileType::file}},
                           PutSymlink{Ino{5}, "t"},
                           PutXattr{{Ino{5}, "user.a"}, "v"},
                           AppendSlices{{Ino{5}, ChunkIndex{0}}, {Slice{}}},
                           AddSliceRef{SliceId{1}, 1, 2, true},
                           AddCounter{Counter::used_space, 1},
                           PutCounter{Counter::next_trash, 3},
                           PutDirStat{Ino{5}, {1, 1, 1}},
                           PutQuota{{QuotaKind::directory, 5}, {}},
                           AddQuotaUsage{{QuotaKind::user, 5}, 1, 1},
                           PutSession{SessionId{1}, {1, "i"}},
                           PutSustained{SessionId{1}, Ino{5}},
                           PutDeletedFile{Ino{5}, 1, 1},
                           PutDelayedSlices{SliceId{2}, 1, {{SliceId{1}, 1}}},
                           PutFileLock{Ino{5}, {SessionId{1}, 1, true}},
                           PutRangeLocks{Ino{5}, ranges},
                           InsertAcl{{}},
                           PutSetting{"s"}};
    auto late = all;
    late.push_back(PatchAttr{Ino{999}, kMode, {}, 0, false});  // found missing, before or after the others
    auto later = all;
    later.push_back(ReplaceSlices{{Ino{999}, ChunkIndex{0}}, 3, 1, {}});
    std::vector<Check> failing{AttrUnchanged{Ino{999}, {}, 0}};
    EXPECT_FALSE((co_await commit(e, failing, all)).applied);
    EXPECT_FALSE((co_await commit(e, {}, late)).applied);
    EXPECT_FALSE((co_await commit(e, {}, later)).applied);
    std::vector<Key> keys{AttrKey{Ino{5}},
                          EntryKey{Ino{1}, "x"},
                          SymlinkKey{Ino{5}},
                          XattrKey{Ino{5}, "user.a"},
                          CounterKey{Counter::used_space},
                          CounterKey{Counter::next_trash},
                          DirStatKey{Ino{5}},
                          QuotaKey{QuotaKind::directory, 5},
                          QuotaKey{QuotaKind::user, 5},
                          AclKey{1},
                          SettingKey{},
                          SessionKey{SessionId{1}}};
    for (auto& key : keys) EXPECT_TRUE(absent(co_await get(e, key))) << "kind " << key.index();
    EXPECT_NE(co_await get(e, SliceRefKey(SliceId{1}, 1)), Record(SliceRef{1, 2}));
    EXPECT_EQ(co_await get<Slices>(e, ChunkKey(Ino{5}, ChunkIndex{0})), Slices());
    EXPECT_EQ(co_await get<Parents>(e, ParentsKey{Ino{5}}), Parents());
    EXPECT_EQ(co_await get<FileLocks>(e, FileLocksKey{Ino{5}}), FileLocks());
    EXPECT_EQ(co_await get<RangeLockTable>(e, RangeLocksKey{Ino{5}}), RangeLockTable());
    auto locks = co_await e.scan_locks(SessionId{1});
    CO_ASSERT_OK(locks);
    EXPECT_TRUE(locks->sustained.empty());
    auto deleted = co_await e.scan_deleted_files(INT64_MAX, 10);
    auto delayed = co_await e.scan_delayed_slices(INT64_MAX, 10);
    CO_ASSERT_OK(deleted);
    CO_ASSERT_OK(delayed);
    EXPECT_TRUE(deleted->empty() && delayed->empty());
    auto done = co_await commit(e, {}, all);
    EXPECT_TRUE(done.applied) << "and the same writes alone are fine";
  });
}

}  // namespace
}  // namespace kiseki::meta
