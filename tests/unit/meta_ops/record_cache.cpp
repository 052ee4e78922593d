// What a client remembers of a volume while it hears of no changes.
#include "meta/record_cache.hpp"

#include <gtest/gtest.h>

namespace kiseki::meta::test {
namespace {

constexpr Ino kDir{10}, kFile{11};

/// A directory that this client made, with one name in it: all its names are known.
struct Remembering {
  Remembering() {
    Attr dir, file;
    dir.type = FileType::directory;
    commit({PutAttr{kDir, dir}, PutDirStat{kDir, {}}});
    commit({PutAttr{kFile, file}, put_name("a")});
    cache.out_of_touch();
  }
  static PutEntry put_name(std::string name) { return {{kDir, std::move(name)}, {kFile, FileType::file}}; }
  void commit(std::vector<Write> writes) {
    Outcome applied;
    applied.applied = true;
    cache.committed(Commit{{}, std::move(writes)}, applied);
  }
  /// "there", "absent", or "?": who asks has to wait for the server.
  std::string told(std::string_view name) {
    auto entry = cache.entry(kDir, name, RecordCache::View::remembered);
    return !entry ? "?" : *entry ? "there" : "absent";
  }
  RecordCache cache{1000, false, std::chrono::minutes(1)};
};

TEST(RecordCache, AllNamesOfADirectoryAreRemembered) {
  Remembering r;
  EXPECT_EQ(r.told("a"), "there");
  EXPECT_EQ(r.told("none"), "absent");
}

// The last answers of a server that is about to be away come after the last news of it.
TEST(RecordCache, ANameReadAnewIsNotMissedAmongTheRememberedOnes) {
  Remembering r;
  r.cache.install_entry(r.cache.ticket(), kDir, "a", Entry{kFile, FileType::file});
  EXPECT_EQ(r.told("a"), "?") << "it exists: that the old names are all there are says nothing of it";
}

TEST(RecordCache, ANameOfOurOwnIsNotMissedAmongTheRememberedOnes) {
  Remembering r;
  r.commit({Remembering::put_name("a")});
  r.commit({Remembering::put_name("b")});
  EXPECT_EQ(r.told("a"), "?");
  EXPECT_EQ(r.told("b"), "?");
}

}  // namespace
}  // namespace kiseki::meta::test
