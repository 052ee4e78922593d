#include <gtest/gtest.h>

#include "vfs/handles.hpp"
#include "vfs/nameless.hpp"

namespace kiseki::vfs {
namespace {

std::vector<meta::ListedEntry> page(std::initializer_list<const char*> names) {
  std::vector<meta::ListedEntry> out;
  for (auto* name : names) out.push_back({name, {Ino{9}, meta::FileType::file}, std::nullopt});
  return out;
}

TEST(ShownNames, AnEntryRenamedAfterItWasShownIsNotShownAgain) {
  ShownNames shown;
  shown.moving("a", "z");
  EXPECT_FALSE(shown.twice("z")) << "nothing was shown yet";
  shown.add(page({"a", "b"}));
  EXPECT_TRUE(shown.twice("z"));
  EXPECT_FALSE(shown.twice("b")) << "what was not renamed is not asked about";
  shown.moving("y", "x");
  EXPECT_FALSE(shown.twice("x")) << "its old name was not shown either";
  shown.moving("z", "zz");
  EXPECT_TRUE(shown.twice("zz")) << "over two names";
}

TEST(ShownNames, AKeptListingIsOnlyReadWhenSomethingMoved) {
  Listing all;
  all.add(page({"a", "b", "c"}));
  ShownNames shown;
  shown.catch_up(all, 2);
  shown.moving("a", "z");
  EXPECT_FALSE(shown.twice("z")) << "nobody has looked yet";
  shown.catch_up(all, 2);
  EXPECT_TRUE(shown.twice("z"));
  shown.moving("c", "y");
  EXPECT_FALSE(shown.twice("y")) << "not shown so far";
  shown.add(all);
  EXPECT_TRUE(shown.twice("y"));
}

TEST(ShownNames, ANameThatWasThereBeforeIsShown) {
  ShownNames shown;
  shown.add(page({"a"}));
  shown.moving("a", "z");
  shown.not_moved("z");
  EXPECT_FALSE(shown.twice("z"));
}

TEST(ShownNames, NamesInACircleEnd) {
  ShownNames shown;
  shown.add(page({"q"}));
  shown.moving("a", "b");
  shown.moving("b", "a");
  EXPECT_FALSE(shown.twice("a"));
}

TEST(ShownNames, ARewoundListingShowsEverything) {
  ShownNames shown;
  shown.add(page({"a"}));
  shown.moving("a", "z");
  shown.clear();
  EXPECT_FALSE(shown.twice("z"));
}

TEST(OpenListings, AreFoundWhileTheyAreOpen) {
  OpenListings listings;
  std::atomic<std::size_t> bytes{0};
  auto one = std::make_shared<DirHandle>(Ino{1}, bytes), other = std::make_shared<DirHandle>(Ino{1}, bytes);
  listings.add(Ino{5}, one);
  listings.add(Ino{5}, other);
  EXPECT_EQ(listings.of(Ino{5}).size(), 2u);
  EXPECT_TRUE(listings.of(Ino{6}).empty());
  listings.remove(Ino{5}, one);
  EXPECT_EQ(listings.of(Ino{5}), std::vector{other});
  listings.remove(Ino{5}, other);
  EXPECT_TRUE(listings.of(Ino{5}).empty());
}

TEST(NamelessAttrs, LastUntilTheKernelForgets) {
  NamelessAttrs nameless;
  meta::Attr attr;
  attr.mode = 0751;
  nameless.add(Ino{7}, attr);
  ASSERT_TRUE(nameless.find(Ino{7}));
  EXPECT_EQ(nameless.find(Ino{7})->mode, 0751);
  nameless.forget(Ino{7});
  EXPECT_FALSE(nameless.find(Ino{7}));
}

TEST(NamelessAttrs, AreBounded) {
  NamelessAttrs nameless;
  std::size_t kept = 0;
  for (std::uint64_t i = 1; i <= 200'000; ++i) nameless.add(Ino{i}, {});
  for (std::uint64_t i = 1; i <= 200'000; ++i) kept += nameless.find(Ino{i}).has_value();
  EXPECT_LE(kept, 65'536u);
  EXPECT_GT(kept, 0u);
}

}  // namespace
}  // namespace kiseki::vfs
