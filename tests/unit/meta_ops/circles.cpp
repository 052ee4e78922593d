// Directories that damage has put below themselves: operations end, with an error or without.
#include <stdio.h>

#include "meta/owner_usage.hpp"
#include "volume.hpp"

namespace kiseki::meta::test {
namespace {

/// /a/b/c, where "loop" leads to a, which also says that it lives there; /q has a quota, /other is whole.
struct Circle {
  asio::awaitable<void> make(Volume& v) {
    co_await v.open();
    a = co_await v.dir(kRootIno, "a");
    b = co_await v.dir(*a, "b");
    c = co_await v.dir(*b, "c");
    q = co_await v.dir(kRootIno, "q");
    other = co_await v.dir(kRootIno, "other");
    CO_ASSERT_OK(other);
    auto attr = std::get<Attr>(co_await v.record(AttrKey{*a}));
    attr.parent = *c;
    Commit commit;
    commit.writes.push_back(PutAttr{*a, attr});
    commit.writes.push_back(PutEntry{{*c, "loop"}, {*a, FileType::directory}});
    commit.writes.push_back(PutQuota{{QuotaKind::directory, q->value}, {1 << 30, 0, 0, 0}});
    CO_ASSERT_OK(co_await v.client->commit(std::move(commit)));
  }
  Result<Ino> a{Ino{}}, b{Ino{}}, c{Ino{}}, q{Ino{}}, other{Ino{}};
};

TEST(Circles, ClimbsEnd) {
  Volume v;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    Circle circle;
    co_await circle.make(v);
    auto into = co_await rename(*v.client, v.root, kRootIno, "other", *circle.b, "other", 0);
    EXPECT_EQ(error_of(into), ELOOP);
    auto exchanged = co_await rename(*v.client, v.root, kRootIno, "other", *circle.b, "c", RENAME_EXCHANGE);
    EXPECT_EQ(error_of(exchanged), ELOOP);
    auto counted = co_await v.dir(*circle.b, "new");
    EXPECT_EQ(error_of(counted), ELOOP) << "whose quota would it be?";
    auto paths = co_await paths_of(*v.client, *circle.c);
    EXPECT_EQ(error_of(paths), ELOOP);
    auto full = co_await rmdir(*v.client, v.root, *circle.c, "loop", false);
    EXPECT_EQ(error_of(full), ELOOP);
  });
}

TEST(Circles, WalksMeetEveryDirectoryOnce) {
  Volume v;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    Circle circle;
    co_await circle.make(v);
    for (bool strict : {true, false}) {
      auto sum = co_await summarize(*v.client, *circle.a, true, strict);
      CO_ASSERT_OK(sum);
      EXPECT_EQ(sum->dirs, 4u) << "a, b, c, and what leads to a again";
    }
    auto owners = co_await count_owners(*v.engine);
    CO_ASSERT_OK(owners);
    // Below a quota all that moves is counted: of a circle, too.
    CO_ASSERT_OK(co_await rename(*v.client, v.root, kRootIno, "a", *circle.q, "a", 0));
  });
}

}  // namespace
}  // namespace kiseki::meta::test
