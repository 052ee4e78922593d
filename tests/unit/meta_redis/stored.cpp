// What lies on the server is what the format says, and damage stays where it is.
#include <regex>
#include <set>

#include "meta/redis/attr_bytes.hpp"
#include "meta/redis/key_names.hpp"
#include "volume.hpp"

namespace kiseki::meta::test {
namespace {

std::string said(const std::string& command) { return kiseki::test::say(server().port(), command + "\r\n"); }

/// One argument of a command typed to the server, any bytes.
std::string as_argument(std::string_view bytes) {
  std::string out = "\"";
  for (char c : bytes) {
    char hex[5];
    std::snprintf(hex, sizeof hex, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    out += hex;
  }
  return out + "\"";
}

std::set<std::string> all_keys() {
  auto text = said("EVAL \"return table.concat(redis.call('KEYS', '*'), ' ')\" 0");
  std::set<std::string> keys;
  auto body = text.substr(text.find('\n') + 1);
  std::regex word("[^ \r\n]+");
  for (std::sregex_iterator at(body.begin(), body.end(), word), end; at != end; ++at) keys.insert(at->str());
  return keys;
}

TEST(Stored, OnlyKeysOfTheFormat) {
  ON_REDIS();
  Mounted m(server().port());
  m.format(1);
  m.join();
  RangeLocks ranges{SessionId{1}, 1, {{1, 1, 0, 0}}};
  m.put({PutSession{SessionId{1}, {100, "{}"}}, PutSustained{SessionId{1}, Ino{5}}, PutDeletedFile{Ino{5}, 1, 1},
         PutDelayedSlices{SliceId{2}, 1, {{SliceId{1}, 1}}}, PutFileLock{Ino{5}, {SessionId{1}, 1, false}},
         PutRangeLocks{Ino{5}, ranges}, InsertAcl{{}}, PutXattr{{Ino{5}, "user.a"}, "v"}, AddParent{Ino{5}, Ino{1}, 1},
         AddSliceRef{SliceId{1}, 1, 2, true}, AddQuotaUsage{{QuotaKind::user, 5}, 1, 1},
         PutQuota{{QuotaKind::directory, 5}, {}}, PutQuota{{QuotaKind::group, 5}, {}}});
  auto file = m.file(kRootIno, "f");
  m.file(kRootIno, "s", FileType::symlink);
  m.must(write_slice(*m.client, file, ChunkIndex{0}, Slice{0, SliceId{5}, 10, 0, 10}, m.clock.now()));
  m.must(unlink(*m.client, m.root, kRootIno, "f"));
  static const std::regex kKnown(
      "setting|i[0-9]+|d[0-9]+|c[0-9]+_[0-9]+|s[0-9]+|x[0-9]+|p[0-9]+|sliceRef|delSlices|delfiles|allSessions|"
      "sessionInfos|session[0-9]+|locked[0-9]+|lock[fp][0-9]+|dirDataLength|dirUsedSpace|dirUsedInodes|"
      "(dir|user|group)Quota(UsedSpace|UsedInodes)?|acl|aclMaxId|nextinode|nextchunk|nextsession|"
      "nextTrash|usedSpace|totalInodes|nextCleanupSlices|Kiseki:[0-9a-f]{16}");
  auto keys = all_keys();
  EXPECT_GT(keys.size(), 25u);
  for (auto& key : keys) EXPECT_TRUE(std::regex_match(key, kKnown)) << key;
  EXPECT_EQ(said("HGET sliceRef k5_10"), "$-1\r\n") << "one reference is not written";
  EXPECT_EQ(said("SISMEMBER locked1 lockf5"), ":1\r\n") << "of shared locks too";
}

TEST(Stored, DamagedSumsHoldUpNobody) {
  ON_REDIS();
  Mounted m(server().port());
  m.format();
  m.join();
  QuotaKey user{QuotaKind::user, 5};
  m.put({PutQuota{user, {}}, PutDirStat{kRootIno, {1, 1, 1}}});
  said("HSET userQuotaUsedSpace 5 many");
  said("HSET dirUsedInodes 1 9223372036854775807");
  m.put({AddQuotaUsage{user, 10, 1}, AddDirStat{kRootIno, {1, 1, 1}}, AddCounter{Counter::used_space, 1}});
  EXPECT_EQ(said("HGET userQuotaUsedInodes 5"), "$1\r\n1\r\n");
  EXPECT_EQ(said("HGET dirUsedSpace 1"), "$1\r\n2\r\n");
  said("DEL userQuota dirUsedSpace");
  said("SET userQuota x");
  said("SET dirUsedSpace x");
  m.put({AddQuotaUsage{user, 10, 1}, AddDirStat{kRootIno, {1, 1, 1}}, AddCounter{Counter::used_space, 1}});
  EXPECT_EQ(m.get(CounterKey{Counter::used_space}), Record(std::int64_t{2}));
}

TEST(Stored, ANameIsWrittenAfterTheInodeItStandsFor) {
  ON_REDIS();
  Mounted m(server().port());
  m.format();
  m.join();
  auto file = m.file(kRootIno, "f");
  said("SET p" + std::to_string(file.value) + " x");  // links in its parents cannot be counted there
  EXPECT_FALSE(m.runtime.wait(link(*m.client, m.root, file, kRootIno, "l")));
  auto attr = std::get<Attr>(m.get(AttrKey{file}));
  EXPECT_EQ(attr.nlink, 2u) << "a link too many is harmless, one too few loses a file that has a name";
}

TEST(Stored, CountersAreOneLowerThanTheNextId) {
  ON_REDIS();
  Mounted m(server().port());
  EXPECT_EQ(m.put({AddCounter{Counter::next_inode, 1024}, AddCounter{Counter::next_slice, 4096},
                   AddCounter{Counter::next_session, 1}}),
            (std::vector<std::int64_t>{1025, 4097, 1}));
  EXPECT_EQ(said("GET nextinode"), "$4\r\n1024\r\n");
  EXPECT_EQ(said("GET nextchunk"), "$4\r\n4096\r\n");
  EXPECT_EQ(said("GET nextsession"), "$1\r\n1\r\n");
  said("SET usedSpace 9223372036854775000");
  EXPECT_EQ(m.put({AddCounter{Counter::used_space, 7}}), (std::vector<std::int64_t>{9223372036854775007}));
  EXPECT_TRUE(m.must(m.engine->commit({{CounterWithin{Counter::used_space, 800, INT64_MAX}}, {}})).applied);
  EXPECT_FALSE(m.must(m.engine->commit({{CounterWithin{Counter::used_space, 801, INT64_MAX}}, {}})).applied);
}

TEST(Stored, AttributesGrowATailAndLoseIt) {
  ON_REDIS();
  Mounted m(server().port());
  Attr attr;
  attr.mode = 0644, attr.nlink = 1, attr.parent = Ino{1};
  m.put({PutAttr{Ino{5}, attr}});
  EXPECT_EQ(said("STRLEN i5"), ":72\r\n");
  auto to = attr;
  to.access_acl = 3, to.tier = 2;
  for (auto [fields, size] : {std::pair{kAccessAcl + 0u, ":80\r\n"}, {kTier + 0u, ":81\r\n"}}) {
    m.put({PatchAttr{Ino{5}, fields, to}});
    EXPECT_EQ(said("STRLEN i5"), size);
  }
  m.put({PatchAttr{Ino{5}, kAccessAcl, attr}});
  EXPECT_EQ(said("STRLEN i5"), ":73\r\n");
  EXPECT_EQ(std::get<Attr>(m.get(AttrKey{Ino{5}})).tier, 2);
  m.put({PatchAttr{Ino{5}, kTier, attr}});
  EXPECT_EQ(said("STRLEN i5"), ":72\r\n");
  EXPECT_EQ(m.get(AttrKey{Ino{5}}), Record(attr));
}

TEST(Stored, RecordsOfOldClientsAreReadAndRenewed) {
  ON_REDIS();
  Mounted m(server().port());
  Attr attr;
  attr.mode = 0644, attr.nlink = 1, attr.length = 77;
  auto whole = redis::whole_attr(attr);
  for (std::size_t size : {63u, 71u}) {
    said("SET i5 " + as_argument(whole.substr(0, size)));
    EXPECT_EQ(m.get(AttrKey{Ino{5}}), Record(attr));
    EXPECT_TRUE(m.must(m.engine->commit({{AttrUnchanged{Ino{5}, attr, kAllFields}}, {}})).applied);
    m.put({PatchAttr{Ino{5}, kMode, attr, 1}});
    EXPECT_EQ(said("STRLEN i5"), ":72\r\n");
    EXPECT_EQ(std::get<Attr>(m.get(AttrKey{Ino{5}})).nlink, 2u);
  }
}

TEST(Stored, DamageDoesNotHideTheRestOfADirectory) {
  ON_REDIS();
  Mounted m(server().port());
  m.format();
  m.join();
  for (int i = 0; i < 5; ++i) m.file(kRootIno, "f" + std::to_string(i));
  auto broken = m.file(kRootIno, "short attribute");
  said("SET i" + std::to_string(broken.value) + " abc");
  said("HSET d1 \"short entry\" abc");
  m.client->cache().everything_may_have_changed();
  auto page = m.must(list(*m.client, kRootIno, "", 4096, true));
  EXPECT_EQ(page.entries.size(), 6u);
  auto whole = std::count_if(page.entries.begin(), page.entries.end(), [](auto& one) { return one.attr.has_value(); });
  EXPECT_EQ(whole, 5);
  EXPECT_EQ(m.runtime.wait(getattr(*m.client, broken)).error(), posix(EIO)) << "itself it is told honestly";
  auto refused = m.runtime.wait(m.engine->commit({{AttrUnchanged{broken, {}, kMode}}, {PutSymlink{Ino{9}, "t"}}}));
  EXPECT_EQ(refused.error(), posix(EIO));
  EXPECT_EQ(said("EXISTS s9"), ":0\r\n") << "and nothing was changed";
}

TEST(Stored, LocksOfTheDeadAreTakenAway) {
  ON_REDIS();
  Mounted m(server().port());
  m.put({PutFileLock{Ino{5}, {SessionId{1}, 1, false}}, PutFileLock{Ino{5}, {SessionId{1}, 2, false}},
         PutFileLock{Ino{5}, {SessionId{11}, 1, false}}});
  m.put({EraseFileLock{Ino{5}, SessionId{1}, 1}});
  EXPECT_EQ(said("SISMEMBER locked1 lockf5"), ":1\r\n") << "another lock of the session is there";
  m.put({EraseLocksOf{SessionId{1}}});
  EXPECT_EQ(m.get(FileLocksKey{Ino{5}}), Record(FileLocks{{SessionId{11}, 1, false}}));
  EXPECT_EQ(said("EXISTS locked1"), ":0\r\n");
}

TEST(KeyNames, PrefixAndBack) {
  struct Heard final : ChangeObserver {
    void committed(const Commit&, const Outcome&) noexcept override {}
    void changed_elsewhere(const Key& key) noexcept override { keys.push_back(key); }
    void entries_changed_elsewhere(Ino dir) noexcept override { dirs.push_back(dir); }
    void everything_may_have_changed() noexcept override {}
    std::vector<Key> keys;
    std::vector<Ino> dirs;
  } heard;
  redis::KeyNames names("{3}");
  EXPECT_EQ(names.attr(kTrashIno), "{3}i9223372032828243968");
  EXPECT_EQ(names.chunk({Ino{7}, ChunkIndex{12}}), "{3}c7_12");
  for (const auto& key : {names.attr(Ino{4}), names.chunk({Ino{7}, ChunkIndex{12}}), names.entries(Ino{9}),
                          names.xattrs(Ino{8}), std::string("{3}dirUsedSpace"), std::string("i4"), std::string("{3}c7"),
                          names.named("delfiles"), names.file_locks(Ino{6})})
    names.tell(key, heard);
  EXPECT_EQ(heard.keys, (std::vector<Key>{AttrKey{Ino{4}}, ChunkKey{Ino{7}, ChunkIndex{12}}, XattrsKey{Ino{8}},
                                          FileLocksKey{Ino{6}}}));
  EXPECT_EQ(heard.dirs, std::vector<Ino>{Ino{9}});
}

}  // namespace
}  // namespace kiseki::meta::test
