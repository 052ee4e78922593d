#include "vfs/kernel_beliefs.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace kiseki::vfs {
namespace {

meta::Attr version(std::int64_t sec, std::uint64_t length) {
  meta::Attr attr;
  attr.mtime.sec = attr.ctime.sec = sec;
  attr.length = length;
  return attr;
}

/// An open that has run to its end; answers whether it kept the pages.
bool opens(PageCacheVersions& versions, Ino ino, const meta::Attr& attr) {
  auto opened = versions.opened(ino, attr);
  versions.dropped(ino, opened.dropping);
  return opened.keep;
}

TEST(PageCacheVersions, KeepsTheCacheOnlyForTheVersionLastOpened) {
  PageCacheVersions versions;
  EXPECT_FALSE(opens(versions, Ino{9}, version(1, 10))) << "never opened before";
  EXPECT_TRUE(opens(versions, Ino{9}, version(1, 10)));
  EXPECT_FALSE(opens(versions, Ino{9}, version(2, 10))) << "modified";
  EXPECT_FALSE(opens(versions, Ino{9}, version(2, 11))) << "grown";
  EXPECT_TRUE(opens(versions, Ino{9}, version(2, 11)));
  versions.forget(Ino{9});
  EXPECT_FALSE(opens(versions, Ino{9}, version(2, 11))) << "written by us";
}

TEST(PageCacheVersions, NobodyKeepsPagesThatAnotherOpenIsAboutToDrop) {
  PageCacheVersions versions;
  auto first = versions.opened(Ino{9}, version(1, 10));
  auto second = versions.opened(Ino{9}, version(1, 10));
  EXPECT_FALSE(first.keep || second.keep) << "the first was told to drop them, but open(2) has not returned yet";
  versions.dropped(Ino{9}, second.dropping);
  EXPECT_TRUE(versions.opened(Ino{9}, version(1, 10)).keep);
  versions.forget(Ino{9});
  versions.dropped(Ino{9}, first.dropping);
  EXPECT_FALSE(versions.opened(Ino{9}, version(1, 10)).keep) << "written to since";
}

TEST(ToldAttrs, AnotherVersionIsBelievedOnceThatBeforeIsForgotten) {
  ToldAttrs told(std::chrono::seconds(1));
  EXPECT_FALSE(told.believes(Ino{9}, version(1, 0))) << "nobody told it";
  told.told(Ino{9}, version(1, 0));
  EXPECT_TRUE(told.believes(Ino{9}, version(1, 0)));
  EXPECT_FALSE(told.believes(Ino{9}, version(2, 10)));
  told.told(Ino{9}, version(2, 10));
  EXPECT_TRUE(told.told_last(Ino{9}, version(2, 10)));
  EXPECT_FALSE(told.believes(Ino{9}, version(2, 10)))
      << "it may have had the answers in another order, and dropped this";
  told.forgotten(Ino{9}, version(2, 10));
  EXPECT_TRUE(told.believes(Ino{9}, version(2, 10)));
  told.told(Ino{9}, version(2, 10));
  EXPECT_TRUE(told.believes(Ino{9}, version(2, 10)));
}

TEST(ToldAttrs, WhatIsOlderThanWhatWasForgottenIsNotBelieved) {
  ToldAttrs told(std::chrono::seconds(1));
  told.told(Ino{9}, version(1, 0));
  told.forgotten(Ino{9}, version(2, 10));
  EXPECT_TRUE(told.believes(Ino{9}, version(2, 10))) << "it was asked to forget by who knew of this version";
  told.told(Ino{9}, version(1, 0));
  EXPECT_TRUE(told.believes(Ino{9}, version(2, 10))) << "asked for before it forgot: dropped";
  told.told(Ino{9}, version(3, 10));
  EXPECT_FALSE(told.believes(Ino{9}, version(2, 10))) << "newer";
  EXPECT_FALSE(told.believes(Ino{9}, version(3, 10)));
}

TEST(ToldAttrs, ALengthThatOthersMadeSmallerMayStillBeCut) {
  ToldAttrs told(std::chrono::seconds(1));
  told.told(Ino{9}, version(1, 1000));
  EXPECT_FALSE(told.may_cut(Ino{9}, 1000));
  EXPECT_FALSE(told.may_cut(Ino{9}, 2000)) << "grown";
  EXPECT_TRUE(told.may_cut(Ino{9}, 500)) << "it has yet to hear of it";
  told.told(Ino{9}, version(2, 500));
  EXPECT_TRUE(told.may_cut(Ino{9}, 500)) << "it is perhaps being told just now";
  EXPECT_FALSE(told.may_cut(Ino{10}, 500)) << "nothing was told of this one";
}

TEST(ToldAttrs, WhatTheKernelDidItselfItKnows) {
  ToldAttrs told(std::chrono::seconds(1));
  told.told(Ino{9}, version(1, 1000));
  told.told(Ino{9}, version(2, 0));
  told.resized(Ino{9}, 0);
  EXPECT_FALSE(told.may_cut(Ino{9}, 0));
  told.written(Ino{9}, 700);
  EXPECT_TRUE(told.may_cut(Ino{9}, 500)) << "others cut off what it wrote";
  told.resized(Ino{9}, 500);
  EXPECT_FALSE(told.may_cut(Ino{9}, 500));
}

TEST(ToldAttrs, OfWhatWasGivenUpAnyLengthMayBeBelieved) {
  ToldAttrs told(std::chrono::seconds(1));
  constexpr std::uint64_t kMany = 200'000;
  for (std::uint64_t i = 1; i <= kMany; ++i) told.told(Ino{i}, version(1, 10));
  std::uint64_t in_doubt = 0;
  for (std::uint64_t i = 1; i <= kMany; i += 100) {
    if (!told.believes(Ino{i}, version(1, 10))) told.told(Ino{i}, version(1, 10));
    if (told.may_cut(Ino{i}, 10)) ++in_doubt;
  }
  EXPECT_GT(in_doubt, kMany / 200);
  told.resized(Ino{1}, 10);
  EXPECT_FALSE(told.may_cut(Ino{1}, 10));
}

TEST(ToldNames, AreAskedAgainOnlyWhileBelieved) {
  ToldNames names(std::chrono::milliseconds(20));
  EXPECT_FALSE(names.asked_again(Ino{1}, "a"));
  names.told(Ino{1}, "a");
  EXPECT_TRUE(names.asked_again(Ino{1}, "a"));
  EXPECT_FALSE(names.asked_again(Ino{2}, "a"));
  EXPECT_FALSE(names.asked_again(Ino{1}, "b"));
  std::this_thread::sleep_for(std::chrono::milliseconds(40));
  EXPECT_FALSE(names.asked_again(Ino{1}, "a"));
}

}  // namespace
}  // namespace kiseki::vfs
