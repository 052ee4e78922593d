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

/// A cache that hears of others' changes one by one, and a file whose slices it has read.
struct Heard {
  Heard() { read_slices(1); }
  void read_slices(std::size_t count) { cache.install(cache.ticket(), kChunk, slices(count)); }
  void read_attr() { cache.install_attr(cache.ticket(), kFile, Attr()); }
  static Slices slices(std::size_t count) {
    return Slices(count, Slice{.pos = 0, .id = SliceId{7}, .size = 1, .len = 1});
  }
  void append(std::int64_t records_then) {
    Outcome applied;
    applied.applied = true;
    applied.returned = {3, records_then};
    cache.committed(Commit{{}, {AddCounter{Counter::used_space, 1}, AppendSlices{kChunk, slices(1)}}}, applied);
  }
  std::size_t known() {
    auto all = cache.slices(kFile, ChunkIndex{0});
    return all ? all->size() : 0;
  }
  static constexpr ChunkKey kChunk{kFile, ChunkIndex{0}};
  RecordCache cache{1000, false};
};

// Attributes that are read may be those after a change of the slices that is yet to be heard of.
TEST(RecordCache, SlicesAreNoOlderThanTheAttributes) {
  Heard h;
  EXPECT_EQ(h.known(), 1u);
  h.read_attr();
  EXPECT_EQ(h.known(), 0u);
  h.read_slices(2);
  EXPECT_EQ(h.known(), 2u);
  auto both = h.cache.ticket();
  h.cache.install_attr(both, kFile, Attr());
  h.cache.install(both, Heard::kChunk, Heard::slices(3));
  EXPECT_EQ(h.known(), 3u) << "read at one moment";
  auto before = h.cache.ticket();
  h.read_attr();
  h.cache.install(before, Heard::kChunk, Heard::slices(4));
  EXPECT_EQ(h.known(), 0u) << "perhaps read before";
}

TEST(RecordCache, WhatIsAppendedToSlicesThatOthersChangedIsNotBelieved) {
  Heard h;
  h.append(2);
  EXPECT_EQ(h.known(), 2u);
  h.append(4);
  EXPECT_EQ(h.known(), 0u) << "the chunk has one more than we know of";
}

}  // namespace
}  // namespace kiseki::meta::test
