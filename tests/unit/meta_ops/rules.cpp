#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>

#include "core/async.hpp"
#include "meta/ops/acl_rules.hpp"
#include "volume.hpp"

namespace kiseki::meta::test {

using namespace op;

TEST(Acl, KernelFormThereAndBack) {
  AclRule rule;
  rule.owner = 7, rule.group = 5, rule.mask = 5, rule.other = 0;
  rule.users = {{1000, 6}};
  auto blob = emit_acl(rule);
  EXPECT_EQ(blob.size(), 4u + 5 * 8);
  auto back = parse_acl(blob);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, rule);
  EXPECT_EQ(error_of(parse_acl(blob.substr(0, 11))), EINVAL);
  EXPECT_EQ(mode_bits(rule), 0750);
}

TEST(MetaOps, DefaultAclIsInherited) {
  auto format = Volume::plain();
  format.enable_acl = true;
  Volume v(format);
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto dir = co_await v.dir(kRootIno, "d");
    CO_ASSERT_OK(dir);
    AclRule rule;
    rule.owner = 7, rule.group = 5, rule.mask = 7, rule.other = 1;
    rule.users = {{1000, 6}};
    CO_ASSERT_OK(co_await set_acl(*v.client, v.root, *dir, true, emit_acl(rule)));
    auto file = co_await v.file(*dir, "f", 0640);
    CO_ASSERT_OK(file);
    auto attr = co_await getattr(*v.client, *file);
    CO_ASSERT_OK(attr);
    EXPECT_EQ(attr->mode, 0640);
    auto blob = co_await get_acl(*v.client, *file, false);
    CO_ASSERT_OK(blob);
    auto own = parse_acl(*blob);
    CO_ASSERT_OK(own);
    EXPECT_EQ(own->mask, 4);
    EXPECT_EQ(own->users, rule.users);
    auto sub = co_await v.dir(*dir, "s");
    CO_ASSERT_OK(sub);
    CO_ASSERT_OK(co_await get_acl(*v.client, *sub, true));
    CO_ASSERT_OK(co_await set_acl(*v.client, v.root, *file, false, ""));
    auto gone = co_await get_acl(*v.client, *file, false);
    EXPECT_EQ(error_of(gone), ENODATA);
  });
}

TEST(MetaOps, ARenameMakesNoCycleAtAnyDepth) {
  Volume v;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto a = co_await v.dir(kRootIno, "a");
    CO_ASSERT_OK(a);
    auto b = co_await v.dir(*a, "b");
    CO_ASSERT_OK(b);
    auto c = co_await v.dir(*b, "c");
    CO_ASSERT_OK(c);
    auto d = co_await v.dir(*c, "d");
    CO_ASSERT_OK(d);
    auto moved = co_await rename(*v.client, v.root, kRootIno, "a", *d, "a", 0);
    EXPECT_EQ(error_of(moved), EINVAL);
    auto onto = co_await rename(*v.client, v.root, *c, "d", kRootIno, "a", 0);
    EXPECT_EQ(error_of(onto), ENOTEMPTY);
  });
}

TEST(MetaOps, RacingRenamesMakeNoCycleEither) {
  // a/x/y and b/p/q: a → b/p/q and b → a/x/y at the same time, each right by itself, on caches that prove nothing.
  for (bool coherent : {false, true}) {
    Volume v(Volume::plain(), {.post = true, .coherent = coherent});
    kiseki::test::run([&]() -> asio::awaitable<void> {
      co_await v.open();
      std::vector<Ino> made;
      Ino at = kRootIno;
      for (auto* name : {"a", "x", "y", "b", "p", "q"}) {
        if (*name == 'b') at = kRootIno;
        auto dir = co_await v.dir(at, name);
        CO_ASSERT_OK(dir);
        made.push_back(at = *dir);
      }
      int first = 0, second = 0;
      std::vector<Async<void>> both;
      auto move = [&v](std::string name, Ino to, int& error) -> Async<void> {
        auto result = co_await rename(*v.client, v.root, kRootIno, name, to, name, 0);
        error = error_of(result);
        co_return Result<void>{};
      };
      both.push_back(move("a", made[5], first));
      both.push_back(move("b", made[2], second));
      CO_ASSERT_OK(co_await fan_out(std::move(both), 2));
      EXPECT_TRUE((first == 0 && second == EINVAL) || (first == EINVAL && second == 0)) << first << " " << second;
    });
  }
}

TEST(MetaOps, CompactionReplacesOrGivesBack) {
  Volume v;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto file = co_await v.file(kRootIno, "f");
    CO_ASSERT_OK(file);
    for (int i = 0; i < 3; ++i) CO_ASSERT_OK(co_await v.write(*file, static_cast<std::uint64_t>(i) * 100, 100));
    auto seen = co_await read_slices(*v.client, *file, ChunkIndex{0});
    CO_ASSERT_OK(seen);
    auto id = co_await v.client->new_slice_id();
    CO_ASSERT_OK(id);
    Slice with{0, *id, 200, 0, 200};
    CO_ASSERT_OK(co_await compacted(*v.client, *file, ChunkIndex{0}, *seen, 0, 2, {*id, 200, {with}}));
    EXPECT_EQ(v.released.size(), 2u);
    auto after = co_await read_slices(*v.client, *file, ChunkIndex{0});
    CO_ASSERT_OK(after);
    EXPECT_EQ(*after, (Slices{with, (*seen)[2]}));
    auto again = co_await compacted(*v.client, *file, ChunkIndex{0}, *seen, 0, 2,
                                    {SliceId{99}, 200, {{0, SliceId{99}, 200, 0, 200}}});
    EXPECT_EQ(error_of(again), ESTALE);
    EXPECT_EQ(v.released.back().id, SliceId{99});
  });
}

}  // namespace kiseki::meta::test
