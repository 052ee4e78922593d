#include "vfs/handles.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace kiseki::vfs {
namespace {

TEST(HandleTable, FindsWhatWasAddedUntilItIsRemoved) {
  HandleTable<int> table;
  auto id = table.add(std::make_shared<int>(7));
  auto other = table.add(std::make_shared<int>(8));
  EXPECT_NE(id, other);
  ASSERT_TRUE(table.find(id));
  EXPECT_EQ(*table.find(id), 7);
  EXPECT_EQ(table.size(), 2u);
  EXPECT_EQ(*table.remove(id), 7);
  EXPECT_FALSE(table.find(id));
  EXPECT_FALSE(table.remove(id));
  EXPECT_EQ(*table.find(other), 8);
}

TEST(HandleTable, NumbersAreNeverReused) {
  HandleTable<int> table;
  auto first = table.add(std::make_shared<int>(1));
  table.remove(first);
  EXPECT_NE(table.add(std::make_shared<int>(2)), first);
  EXPECT_FALSE(table.find(first));
}

TEST(HandleTable, ALaterProcessGivesOutNoNumberOfAnEarlierOne) {
  HandleTable<int> earlier;
  std::vector<HandleId> theirs;
  for (int i = 0; i < 1000; ++i) theirs.push_back(earlier.add(std::make_shared<int>(i)));
  HandleTable<int> later;
  for (int i = 0; i < 1000; ++i) {
    auto ours = later.add(std::make_shared<int>(i));
    EXPECT_GT(ours.value, theirs.back().value);
    EXPECT_FALSE(later.inherited(ours));
  }
  EXPECT_TRUE(later.inherited(theirs.front()) && later.inherited(theirs.back()));
  auto first = later.adopt(theirs[3], std::make_shared<int>(7));
  EXPECT_EQ(later.adopt(theirs[3], std::make_shared<int>(8)), first) << "once adopted it stays";
  EXPECT_EQ(later.find(theirs[3]), first);
}

TEST(LockOwners, RemainUntilTheyCloseOrTheOpenFileGoes) {
  LockOwners owners;
  owners.add(1);
  owners.add(2);
  owners.add(2);
  owners.remove(1);
  owners.remove(3);
  EXPECT_EQ(owners.take(), std::vector<std::uint64_t>{2});
  EXPECT_TRUE(owners.take().empty());
}

TEST(OpenTable, TheLastCloseOfANamelessInodeIsTold) {
  OpenTable table;
  Ino ino{42};
  table.add(ino);
  table.add(ino);
  EXPECT_TRUE(table.contains(ino));
  table.mark_unlinked(ino, OpenTable::Fate::sustained);
  EXPECT_FALSE(table.erased(ino));
  EXPECT_EQ(table.unlinked(), std::vector<Ino>{ino});
  EXPECT_EQ(table.remove(ino), OpenTable::Left::others) << "one open is left";
  EXPECT_EQ(table.remove(ino), OpenTable::Left::none_nameless);
  EXPECT_FALSE(table.contains(ino));
}

TEST(OpenTable, AnInodeThatKeepsItsNameNeedsNothingAtTheLastClose) {
  OpenTable table;
  table.add(Ino{1});
  EXPECT_EQ(table.remove(Ino{1}), OpenTable::Left::none);
  EXPECT_EQ(table.remove(Ino{1}), OpenTable::Left::others) << "a close too many is harmless";
}

TEST(OpenTable, UnlinkingWhatIsNotOpenLeavesNoTrace) {
  OpenTable table;
  EXPECT_FALSE(table.mark_unlinked(Ino{5}, OpenTable::Fate::erased));
  table.add(Ino{5});
  EXPECT_EQ(table.remove(Ino{5}), OpenTable::Left::none);
}

TEST(OpenTable, CountsAcrossThreads) {
  OpenTable table;
  auto work = [&] {
    for (std::uint64_t i = 0; i < 10'000; ++i) {
      table.add(Ino{i % 64});
      table.remove(Ino{i % 64});
    }
  };
  std::thread a(work), b(work);
  a.join();
  b.join();
  for (std::uint64_t i = 0; i < 64; ++i) EXPECT_FALSE(table.contains(Ino{i}));
}

}  // namespace
}  // namespace kiseki::vfs
