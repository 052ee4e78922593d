// Every kind of key: absent at first, then what was put, then absent again.
#include "engine_contract.hpp"

namespace kiseki::meta {
namespace {

INSTANTIATE_TEST_SUITE_P(Engines, EngineContract, testing::ValuesIn(backends()), backend_name);

const std::string kBytes("a\0b\xff\n'\"", 7);  // names are bytes

TEST_P(EngineContract, AttrKeepsEveryField) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    EXPECT_TRUE(absent(co_await get(e, AttrKey{Ino{5}})));
    auto attr = some_file();
    co_await put(e, {PutAttr{Ino{5}, attr}});
    EXPECT_EQ(co_await get<Attr>(e, AttrKey{Ino{5}}), attr);
    attr.length = std::uint64_t{1} << 56;
    attr.type = FileType::socket;
    co_await put(e, {PutAttr{Ino{5}, attr}});
    EXPECT_EQ(co_await get<Attr>(e, AttrKey{Ino{5}}), attr);
    co_await put(e, {EraseAttr{Ino{5}}});
    EXPECT_TRUE(absent(co_await get(e, AttrKey{Ino{5}})));
  });
}

TEST_P(EngineContract, TrashInodesFit) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    Ino hour{kTrashIno.value + 17};
    co_await put(
        e, {PutAttr{hour, some_dir(kTrashIno)}, PutEntry{{kTrashIno, "2026-11-21-10"}, {hour, FileType::directory}}});
    EXPECT_EQ((co_await get<Attr>(e, AttrKey{hour})).parent, kTrashIno);
    EXPECT_EQ((co_await get<Entry>(e, EntryKey{kTrashIno, "2026-11-21-10"})).ino, hour);
  });
}

TEST_P(EngineContract, EntriesAreNamedByBytes) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    for (auto& name : {std::string("plain"), kBytes, std::string(255, '\xfe')}) {
      EntryKey key{kRootIno, name};
      EXPECT_TRUE(absent(co_await get(e, key)));
      co_await put(e, {PutEntry{key, {Ino{9}, FileType::file}}});
      EXPECT_EQ(co_await get<Entry>(e, key), (Entry{Ino{9}, FileType::file}));
      co_await put(e, {PutEntry{key, {Ino{10}, FileType::symlink}}});
      EXPECT_EQ(co_await get<Entry>(e, key), (Entry{Ino{10}, FileType::symlink}));
      co_await put(e, {EraseEntry{key}});
      EXPECT_TRUE(absent(co_await get(e, key)));
    }
    co_await put(e, {PutEntry{{Ino{3}, "x"}, {Ino{9}, FileType::file}}});
    EXPECT_TRUE(absent(co_await get(e, EntryKey{Ino{4}, "x"})));
  });
}

TEST_P(EngineContract, ANameIsReadWithItsInode) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    for (Ino ino : {Ino{5}, Ino{(1u << 31) - 1}, Ino{1u << 31}, Ino{std::uint64_t{1} << 32},
                    Ino{std::uint64_t{1} << 53}, Ino{kTrashIno.value + 3}, Ino{~std::uint64_t{0}}}) {
      EntryKey name{Ino{1}, kBytes + std::to_string(ino.value)};
      Keys both{name, ChildKey{name.parent, name.name}};
      auto none = co_await e.fetch(both);
      CO_ASSERT_OK(none);
      EXPECT_TRUE(absent((*none)[0]) && absent((*none)[1]));
      co_await put(e, {PutEntry{name, {ino, FileType::file}}});
      EXPECT_TRUE(absent(co_await get(e, both[1]))) << "a dangling entry";
      co_await put(e, {PutAttr{ino, some_file(7)}});
      auto found = co_await e.fetch(both);
      CO_ASSERT_OK(found);
      EXPECT_EQ((*found)[0], Record(Entry{ino, FileType::file}));
      EXPECT_EQ((*found)[1], Record(some_file(7)));
    }
  });
}

TEST_P(EngineContract, ParentsAreFoundByTheEntries) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    EXPECT_EQ(co_await get<Parents>(e, ParentsKey{Ino{9}}), Parents());
    Entry entry{Ino{9}, FileType::file};
    co_await put(e, {PutEntry{{Ino{1}, "a"}, entry}, PutEntry{{Ino{1}, "b"}, entry}, PutEntry{{Ino{2}, "a"}, entry},
                     AddParent{Ino{9}, Ino{1}, 2}, AddParent{Ino{9}, Ino{2}, 1}});
    EXPECT_EQ(co_await get<Parents>(e, ParentsKey{Ino{9}}), (Parents{{Ino{1}, 2}, {Ino{2}, 1}}));
    co_await put(e, {EraseEntry{{Ino{2}, "a"}}, PutEntry{{Ino{1}, "b"}, {Ino{8}, FileType::file}},
                     AddParent{Ino{9}, Ino{2}, -1}, AddParent{Ino{9}, Ino{1}, -1}, AddParent{Ino{8}, Ino{1}, 1}});
    EXPECT_EQ(co_await get<Parents>(e, ParentsKey{Ino{9}}), (Parents{{Ino{1}, 1}}));
    EXPECT_EQ(co_await get<Parents>(e, ParentsKey{Ino{8}}), (Parents{{Ino{1}, 1}}));
  });
}

TEST_P(EngineContract, Symlinks) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    EXPECT_TRUE(absent(co_await get(e, SymlinkKey{Ino{5}})));
    co_await put(e, {PutSymlink{Ino{5}, kBytes}});
    EXPECT_EQ(co_await get<std::string>(e, SymlinkKey{Ino{5}}), kBytes);
    co_await put(e, {EraseSymlink{Ino{5}}});
    EXPECT_TRUE(absent(co_await get(e, SymlinkKey{Ino{5}})));
  });
}

TEST_P(EngineContract, ExtendedAttributes) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    EXPECT_EQ(co_await get<Xattrs>(e, XattrsKey{Ino{5}}), Xattrs());
    co_await put(e, {PutXattr{{Ino{5}, "user.empty"}, ""}, PutXattr{{Ino{5}, "user.bytes"}, kBytes},
                     PutXattr{{Ino{6}, "user.a"}, "other"}});
    EXPECT_EQ(co_await get<std::string>(e, XattrKey{Ino{5}, "user.empty"}), "");
    EXPECT_EQ(co_await get<std::string>(e, XattrKey{Ino{5}, "user.bytes"}), kBytes);
    EXPECT_TRUE(absent(co_await get(e, XattrKey{Ino{5}, "user.a"})));
    EXPECT_EQ(co_await get<Xattrs>(e, XattrsKey{Ino{5}}), (Xattrs{{"user.bytes", kBytes}, {"user.empty", ""}}));
    co_await put(e, {PutXattr{{Ino{5}, "user.bytes"}, std::string(65536, 'x')}, EraseXattr{{Ino{5}, "user.empty"}}});
    EXPECT_EQ(co_await get<Xattrs>(e, XattrsKey{Ino{5}}), (Xattrs{{"user.bytes", std::string(65536, 'x')}}));
    co_await put(e, {EraseXattrs{Ino{5}}});
    EXPECT_EQ(co_await get<Xattrs>(e, XattrsKey{Ino{5}}), Xattrs());
    EXPECT_EQ(co_await get<std::string>(e, XattrKey{Ino{6}, "user.a"}), "other");
  });
}

TEST_P(EngineContract, Chunks) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    ChunkKey key{Ino{5}, ChunkIndex{3}};
    EXPECT_EQ(co_await get<Slices>(e, key), Slices());
    Slices one{{0, SliceId{1}, 100, 0, 100}, {100, SliceId{0}, 0, 77, 50}};
    EXPECT_EQ(co_await put(e, {AppendSlices{key, one}}), (std::vector<std::int64_t>{2}));
    Slices two{{1u << 25, SliceId{0xFFEEDDCCBBAA0099}, 1u << 20, 5, 1000}};
    EXPECT_EQ(co_await put(e, {AppendSlices{key, two}}), (std::vector<std::int64_t>{3}));
    Slices all = one;
    all.push_back(two[0]);
    EXPECT_EQ(co_await get<Slices>(e, key), all);
    EXPECT_EQ(co_await get<Slices>(e, ChunkKey(Ino{5}, ChunkIndex{2})), Slices());
    co_await put(e, {EraseChunk{key}});
    EXPECT_EQ(co_await get<Slices>(e, key), Slices());
  });
}

TEST_P(EngineContract, Counters) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    for (auto which : {Counter::next_inode, Counter::next_slice, Counter::next_session, Counter::used_space,
                       Counter::total_inodes, Counter::next_trash, Counter::last_cleanup_sessions,
                       Counter::last_cleanup_files, Counter::last_cleanup_trash, Counter::last_cleanup_slices}) {
      EXPECT_TRUE(absent(co_await get(e, CounterKey{which})));
      auto more = 1000 + static_cast<std::int64_t>(which), value = first_value(which) + more;
      EXPECT_EQ(co_await put(e, {AddCounter{which, more}, AddCounter{which, -1}}),
                (std::vector<std::int64_t>{value, value - 1}));
      EXPECT_EQ(co_await get<std::int64_t>(e, CounterKey{which}), value - 1);
    }
    co_await put(e, {PutCounter{Counter::next_inode, -7}, AddCounter{Counter::next_inode, 3}});
    EXPECT_EQ(co_await get<std::int64_t>(e, CounterKey{Counter::next_inode}), -4);
    EXPECT_EQ(co_await get<std::int64_t>(e, CounterKey{Counter::next_slice}), 1001);
  });
}

TEST_P(EngineContract, SliceReferences) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    SliceRefKey key{SliceId{1}, 4096};
    auto unknown = [](const Record& record) { return absent(record) || record == Record(SliceRef{4096, 1}); };
    EXPECT_TRUE(unknown(co_await get(e, key)));
    EXPECT_EQ(co_await put(e, {AddSliceRef{SliceId{1}, 4096, 1, true}}), (std::vector<std::int64_t>{1}));
    EXPECT_EQ(co_await get<SliceRef>(e, key), (SliceRef{4096, 1}));
    EXPECT_EQ(co_await put(e, {AddSliceRef{SliceId{1}, 4096, 2}}), (std::vector<std::int64_t>{3}));
    EXPECT_EQ(co_await get<SliceRef>(e, key), (SliceRef{4096, 3}));
    EXPECT_EQ(co_await put(e, {AddSliceRef{SliceId{1}, 4096, -4}}), (std::vector<std::int64_t>{-1}));
    EXPECT_EQ(co_await get<SliceRef>(e, key), (SliceRef{4096, -1}));
    EXPECT_EQ(co_await put(e, {AddSliceRef{SliceId{2}, 10, 0, true}}), (std::vector<std::int64_t>{0}));
    EXPECT_EQ(co_await get<SliceRef>(e, SliceRefKey{SliceId{2}, 10}), (SliceRef{10, 0}));
    co_await put(e, {EraseSliceRef{SliceId{1}, 4096}});
    EXPECT_TRUE(unknown(co_await get(e, key)));
  });
}

TEST_P(EngineContract, Quotas) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    QuotaKey dir{QuotaKind::directory, 40}, user{QuotaKind::user, 1000}, group{QuotaKind::group, 1000};
    for (auto key : {dir, user, group}) {
      EXPECT_TRUE(absent(co_await get(e, key)));
      Quota quota{1 << 20, 100 + static_cast<int>(key.kind), 4096, 1};
      co_await put(e, {PutQuota{key, quota}, AddQuotaUsage{key, -8192, -3}});
      quota.used_space = -4096, quota.used_inodes = -2;
      EXPECT_EQ(co_await get<Quota>(e, key), quota);
    }
    for (auto key : {dir, user, group}) {
      co_await put(e, {EraseQuota{key}});
      EXPECT_TRUE(absent(co_await get(e, key)));
      co_await put(e, {AddQuotaUsage{key, 4096, 1}});
    }
    EXPECT_TRUE(absent(co_await get(e, dir))) << "usage of a directory without a quota is nobody's";
    EXPECT_EQ(co_await get<Quota>(e, user), (Quota{-1, -1, 4096, 1}));
    EXPECT_EQ(co_await get<Quota>(e, group), (Quota{-1, -1, 4096, 1}));
  });
}

TEST_P(EngineContract, FileLocks) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    FileLocksKey key{Ino{5}};
    EXPECT_EQ(co_await get<FileLocks>(e, key), FileLocks());
    FileLock a{SessionId{1}, 0xF000000000000001, false}, b{SessionId{2}, 3, false};
    co_await put(e, {PutFileLock{Ino{5}, a}, PutFileLock{Ino{5}, b}, PutFileLock{Ino{6}, a}});
    auto held = co_await get<FileLocks>(e, key);
    EXPECT_EQ(held.size(), 2u);
    EXPECT_TRUE(std::count(held.begin(), held.end(), a) == 1 && std::count(held.begin(), held.end(), b) == 1);
    a.exclusive = true;
    co_await put(e, {PutFileLock{Ino{5}, a}, EraseFileLock{Ino{5}, SessionId{2}, 3}});
    EXPECT_EQ(co_await get<FileLocks>(e, key), FileLocks{a});
  });
}

TEST_P(EngineContract, RangeLocks) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    RangeLocksKey key{Ino{5}};
    EXPECT_EQ(co_await get<RangeLockTable>(e, key), RangeLockTable());
    RangeLocks mine{SessionId{1}, 0x83D1D23E229ECB1F, {{0, 77, 0, 4}, {1, 77, 100, 0x7FFFFFFFFFFFFFFF}}};
    RangeLocks other{SessionId{2}, 5, {{1, 1, 0, 0}}};
    co_await put(e, {PutRangeLocks{Ino{5}, mine}, PutRangeLocks{Ino{5}, other}});
    EXPECT_EQ(co_await get<RangeLockTable>(e, key), (RangeLockTable{mine, other}));
    mine.ranges.pop_back();
    other.ranges.clear();
    co_await put(e, {PutRangeLocks{Ino{5}, mine}, PutRangeLocks{Ino{5}, other}});
    EXPECT_EQ(co_await get<RangeLockTable>(e, key), (RangeLockTable{mine})) << "an empty list erases the owner";
  });
}

TEST_P(EngineContract, LocksOfASessionGoTogether) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    FileLock mine{SessionId{1}, 1, true}, other{SessionId{2}, 1, true};
    RangeLocks ranges{SessionId{1}, 9, {{1, 1, 0, 0}}}, others{SessionId{2}, 9, {{1, 1, 5, 5}}};
    co_await put(e, {PutFileLock{Ino{5}, mine}, PutFileLock{Ino{6}, other}, PutRangeLocks{Ino{5}, ranges},
                     PutRangeLocks{Ino{5}, others}});
    co_await put(e, {EraseLocksOf{SessionId{1}}});
    EXPECT_EQ(co_await get<FileLocks>(e, FileLocksKey{Ino{5}}), FileLocks());
    EXPECT_EQ(co_await get<FileLocks>(e, FileLocksKey{Ino{6}}), FileLocks{other});
    EXPECT_EQ(co_await get<RangeLockTable>(e, RangeLocksKey{Ino{5}}), RangeLockTable{others});
  });
}

TEST_P(EngineContract, AclRulesGetIds) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    AclRule named{7, 5, 7, 4, {{1000, 6}, {1001, 0}}, {{4294967294, 7}}}, empty;
    auto ids = co_await put(e, {InsertAcl{named}, InsertAcl{empty}});
    CO_ASSERT_TRUE(ids.size() == 2);
    EXPECT_GE(ids[0], 1);
    EXPECT_GT(ids[1], ids[0]);
    EXPECT_EQ(co_await get<AclRule>(e, AclKey{static_cast<std::uint32_t>(ids[0])}), named);
    EXPECT_EQ(co_await get<AclRule>(e, AclKey{static_cast<std::uint32_t>(ids[1])}), empty);
    EXPECT_TRUE(absent(co_await get(e, AclKey{99})));
  });
}

TEST_P(EngineContract, SettingAndSessions) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    EXPECT_TRUE(absent(co_await get(e, SettingKey{})));
    co_await put(e, {PutSetting{"{\n\"Name\": \"a\"\n}"}});
    co_await put(e, {PutSetting{"{\n\"Name\": \"é\"\n}"}});
    EXPECT_EQ(co_await get<std::string>(e, SettingKey{}), "{\n\"Name\": \"é\"\n}");

    SessionKey key{SessionId{4}};
    EXPECT_TRUE(absent(co_await get(e, key)));
    co_await put(e, {PutSession{SessionId{4}, {100, "{}"}}});
    EXPECT_EQ(co_await get<Session>(e, key), (Session{100, "{}"}));
    co_await put(e, {PutSession{SessionId{4}, {160, ""}}});
    EXPECT_EQ(co_await get<Session>(e, key), (Session{160, "{}"})) << "a heartbeat keeps the info";
    co_await put(e, {PutSession{SessionId{4}, {170, "{\"a\":1}"}}});
    EXPECT_EQ(co_await get<Session>(e, key), (Session{170, "{\"a\":1}"}));
    co_await put(e, {EraseSession{SessionId{4}}});
    EXPECT_TRUE(absent(co_await get(e, key)));
  });
}

TEST_P(EngineContract, FetchAnswersInTheOrderAsked) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    co_await put(e, {PutAttr{Ino{2}, some_file(1)}, PutAttr{Ino{3}, some_file(2)},
                     PutEntry{{Ino{1}, "x"}, {Ino{2}, FileType::file}}});
    Keys keys{AttrKey{Ino{3}}, EntryKey{Ino{1}, "y"}, AttrKey{Ino{2}}, EntryKey{Ino{1}, "x"}, AttrKey{Ino{3}}};
    auto records = co_await e.fetch(std::move(keys));
    CO_ASSERT_OK(records);
    CO_ASSERT_TRUE(records->size() == 5);
    EXPECT_EQ(std::get<Attr>((*records)[0]).length, 2u);
    EXPECT_TRUE(absent((*records)[1]));
    EXPECT_EQ(std::get<Attr>((*records)[2]).length, 1u);
    EXPECT_EQ(std::get<Entry>((*records)[3]).ino, Ino{2});
    EXPECT_EQ((*records)[4], (*records)[0]);
    auto none = co_await e.fetch(Keys());
    CO_ASSERT_OK(none);
    EXPECT_TRUE(none->empty());
  });
}

}  // namespace
}  // namespace kiseki::meta
