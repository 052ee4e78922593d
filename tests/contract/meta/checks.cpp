// Every kind of check: holds, or is reported by its index and nothing is changed.
#include "engine_contract.hpp"

namespace kiseki::meta {
namespace {

/// Whether one check holds now, asked both alone (no writes) and as the condition of a write.
asio::awaitable<bool> holds(MetaEngine& e, Check check) {
  auto asked = co_await commit(e, {check}, {});
  auto before = co_await get(e, SymlinkKey{Ino{777}});
  auto writing = co_await commit(
      e, {check},
      {PutSymlink{Ino{777}, std::holds_alternative<std::string>(before) ? std::get<std::string>(before) + "x" : "x"}});
  EXPECT_EQ(asked.applied, writing.applied);
  EXPECT_EQ(asked.failed, writing.failed);
  EXPECT_EQ(asked.failed, asked.applied ? std::vector<std::size_t>() : std::vector<std::size_t>{0});
  EXPECT_EQ((co_await get(e, SymlinkKey{Ino{777}})) == before, !writing.applied) << "only what holds writes";
  co_return asked.applied;
}

TEST_P(EngineContract, UnchangedComparesWholeRecords) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    EntryKey key{Ino{1}, "x"};
    EXPECT_TRUE(co_await holds(e, Unchanged{key, {}}));
    EXPECT_FALSE(co_await holds(e, Unchanged{key, Entry{Ino{2}, FileType::file}}));
    co_await put(e, {PutEntry{key, {Ino{2}, FileType::file}}});
    EXPECT_FALSE(co_await holds(e, Unchanged{key, {}}));
    EXPECT_TRUE(co_await holds(e, Unchanged{key, Entry{Ino{2}, FileType::file}}));
    EXPECT_FALSE(co_await holds(e, Unchanged{key, Entry{Ino{3}, FileType::file}}));
    EXPECT_FALSE(co_await holds(e, Unchanged{key, Entry{Ino{2}, FileType::symlink}}));
  });
}

TEST_P(EngineContract, UnchangedKnowsEveryKind) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    FileLock lock{SessionId{1}, 2, true};
    RangeLocks ranges{SessionId{1}, 2, {{1, 2, 3, 4}}};
    AclRule rule{7, 7, 7, 7, {}, {}};
    Quota quota{1, 2, 3, 4};
    auto ids = co_await put(
        e,
        {PutSymlink{Ino{5}, "t"}, PutXattr{{Ino{5}, "user.a"}, "v"}, PutEntry{{Ino{1}, "x"}, {Ino{5}, FileType::file}},
         AddParent{Ino{5}, Ino{1}, 1}, AddCounter{Counter::used_space, 5}, AddSliceRef{SliceId{5}, 6, 2, true},
         PutDirStat{Ino{5}, {1, 2, 3}}, PutQuota{{QuotaKind::user, 5}, quota}, PutFileLock{Ino{5}, lock},
         PutRangeLocks{Ino{5}, ranges}, InsertAcl{rule}, PutSetting{"s"}, PutSession{SessionId{5}, {9, "i"}}});
    CO_ASSERT_TRUE(ids.size() == 3);
    std::vector<Unchanged> now{
        {SymlinkKey{Ino{5}}, std::string("t")},
        {XattrKey{Ino{5}, "user.a"}, std::string("v")},
        {XattrsKey{Ino{5}}, Xattrs{{"user.a", "v"}}},
        {ParentsKey{Ino{5}}, Parents{{Ino{1}, 1}}},
        {CounterKey{Counter::used_space}, std::int64_t{5}},
        {SliceRefKey{SliceId{5}, 6}, SliceRef{6, 2}},
        {DirStatKey{Ino{5}}, DirStat{1, 2, 3}},
        {QuotaKey{QuotaKind::user, 5}, quota},
        {FileLocksKey{Ino{5}}, FileLocks{lock}},
        {RangeLocksKey{Ino{5}}, RangeLockTable{ranges}},
        {AclKey{static_cast<std::uint32_t>(ids[2])}, rule},
        {SettingKey{}, std::string("s")},
        {SessionKey{SessionId{5}}, Session{9, "i"}},
    };
    for (auto& check : now) {
      EXPECT_TRUE(co_await holds(e, check)) << "kind " << check.key.index();
      Unchanged gone{check.key, {}};
      EXPECT_FALSE(co_await holds(e, gone)) << "kind " << check.key.index();
    }
    std::vector<Unchanged> empty{{XattrsKey{Ino{6}}, {}},
                                 {XattrsKey{Ino{6}}, Xattrs()},
                                 {FileLocksKey{Ino{6}}, {}},
                                 {RangeLocksKey{Ino{6}}, RangeLockTable()},
                                 {CounterKey{Counter::next_trash}, {}},
                                 {SessionKey{SessionId{6}}, {}}};
    for (auto& check : empty) EXPECT_TRUE(co_await holds(e, check)) << "kind " << check.key.index();
  });
}

TEST_P(EngineContract, AttrUnchangedLooksAtNamedFieldsOnly) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    auto attr = some_file();
    EXPECT_FALSE(co_await holds(e, AttrUnchanged{Ino{5}, attr, 0})) << "the inode must exist";
    co_await put(e, {PutAttr{Ino{5}, attr}});
    EXPECT_TRUE(co_await holds(e, AttrUnchanged{Ino{5}, attr, kAllFields}));
    EXPECT_TRUE(co_await holds(e, AttrUnchanged{Ino{5}, Attr{}, 0}));
    Attr other;  // differs in every field
    other.type = FileType::fifo;
    for (std::uint32_t bit = 1; bit < kAllFields; bit <<= 1) {
      EXPECT_FALSE(co_await holds(e, AttrUnchanged{Ino{5}, other, bit})) << "field " << bit;
      EXPECT_TRUE(co_await holds(e, AttrUnchanged{Ino{5}, attr, bit})) << "field " << bit;
    }
    auto nearly = attr;
    nearly.mtime.nsec = 999'999'998;
    EXPECT_FALSE(co_await holds(e, AttrUnchanged{Ino{5}, nearly, kMtime})) << "to the nanosecond";
  });
}

TEST_P(EngineContract, AbsenceAndEmptiness) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    EXPECT_TRUE(co_await holds(e, AttrAbsent{Ino{5}}));
    EXPECT_TRUE(co_await holds(e, DirEmpty{Ino{5}}));
    co_await put(e, {PutAttr{Ino{5}, some_dir()}, PutEntry{{Ino{6}, "in another"}, {Ino{5}, FileType::directory}}});
    EXPECT_FALSE(co_await holds(e, AttrAbsent{Ino{5}}));
    EXPECT_TRUE(co_await holds(e, DirEmpty{Ino{5}}));
    co_await put(e, {PutEntry{{Ino{5}, "x"}, {Ino{7}, FileType::file}}});
    EXPECT_FALSE(co_await holds(e, DirEmpty{Ino{5}}));
    co_await put(e, {EraseEntry{{Ino{5}, "x"}}});
    EXPECT_TRUE(co_await holds(e, DirEmpty{Ino{5}}));
  });
}

TEST_P(EngineContract, SlicesMayGrowBehindAPrefix) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    ChunkKey key{Ino{5}, ChunkIndex{0}};
    Slice a{0, SliceId{1}, 10, 0, 10}, b{10, SliceId{2}, 10, 0, 10};
    EXPECT_TRUE(co_await holds(e, SlicesBeginWith{key, {}}));
    EXPECT_FALSE(co_await holds(e, SlicesBeginWith{key, {a}}));
    co_await put(e, {AppendSlices{key, {a}}});
    EXPECT_TRUE(co_await holds(e, SlicesBeginWith{key, {a}}));
    EXPECT_FALSE(co_await holds(e, SlicesBeginWith{key, {b}}));
    EXPECT_FALSE(co_await holds(e, SlicesBeginWith{key, {a, b}}));
    co_await put(e, {AppendSlices{key, {b}}});
    EXPECT_TRUE(co_await holds(e, SlicesBeginWith{key, {a}}));
    EXPECT_TRUE(co_await holds(e, SlicesBeginWith{key, {a, b}}));
  });
}

TEST_P(EngineContract, CountersStayWithinLimits) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    EXPECT_TRUE(co_await holds(e, CounterWithin{Counter::used_space, 10, 10}));
    EXPECT_FALSE(co_await holds(e, CounterWithin{Counter::used_space, 11, 10}));
    co_await put(e, {AddCounter{Counter::used_space, 7}});
    EXPECT_TRUE(co_await holds(e, CounterWithin{Counter::used_space, 3, 10}));
    EXPECT_FALSE(co_await holds(e, CounterWithin{Counter::used_space, 4, 10}));
    EXPECT_FALSE(co_await holds(e, CounterWithin{Counter::used_space, INT64_MAX, INT64_MAX})) << "no wrap-around";
  });
}

TEST_P(EngineContract, EveryFailedCheckIsReported) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    co_await put(e, {PutAttr{Ino{5}, some_file()}});
    auto outcome = co_await commit(
        e, {AttrAbsent{Ino{6}}, AttrAbsent{Ino{5}}, Unchanged{EntryKey{Ino{1}, "x"}, {}}, AttrUnchanged{Ino{6}, {}, 0}},
        {PutAttr{Ino{6}, some_file()}, AddCounter{Counter::total_inodes, 1}});
    EXPECT_FALSE(outcome.applied);
    EXPECT_EQ(outcome.failed, (std::vector<std::size_t>{1, 3}));
    EXPECT_TRUE(outcome.returned.empty());
    EXPECT_TRUE(absent(co_await get(e, AttrKey{Ino{6}})));
    EXPECT_TRUE(absent(co_await get(e, CounterKey{Counter::total_inodes})));
  });
}

}  // namespace
}  // namespace kiseki::meta
