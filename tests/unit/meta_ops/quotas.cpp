// Limits of the volume, of directories, of users and groups.
#include <boost/asio/this_coro.hpp>

#include "core/async.hpp"
#include "meta/session.hpp"
#include "volume.hpp"

namespace kiseki::meta::test {

TEST(MetaOps, LimitsAndQuotas) {
  // SEMANTICS: over a quota: EDQUOT
  auto format = Volume::plain();
  format.inodes = 3;
  format.capacity = 1 << 20;
  Volume v(format);
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto dir = co_await v.dir(kRootIno, "d");
    CO_ASSERT_OK(dir);
    auto file = co_await v.file(*dir, "f");
    CO_ASSERT_OK(file);
    auto big = co_await v.write(*file, 0, 2 << 20);
    EXPECT_EQ(error_of(big), ENOSPC);
    Commit quota;
    quota.writes.push_back(PutQuota{{QuotaKind::directory, dir->value}, {8192, 0, 4096, 1}});
    CO_ASSERT_OK(co_await v.client->commit(std::move(quota)));
    auto over = co_await v.write(*file, 0, 10'000);
    EXPECT_EQ(error_of(over), EDQUOT);
    CO_ASSERT_OK(co_await v.write(*file, 0, 8'000));
    auto sub = co_await v.dir(*dir, "s");
    EXPECT_EQ(error_of(sub), EDQUOT);
    auto stored = co_await v.record(QuotaKey{QuotaKind::directory, dir->value});
    EXPECT_EQ(std::get<Quota>(stored).used_space, 8192);
    CO_ASSERT_OK(co_await v.file(kRootIno, "third"));
    auto fourth = co_await v.file(kRootIno, "fourth");
    EXPECT_EQ(error_of(fourth), ENOSPC);
    CO_ASSERT_OK(co_await rename(*v.client, v.root, *dir, "f", kRootIno, "f", 0));
    stored = co_await v.record(QuotaKey{QuotaKind::directory, dir->value});
    EXPECT_EQ(std::get<Quota>(stored).used_space, 0);
  });
}

namespace {

constexpr QuotaKey kUser{QuotaKind::user, 1000}, kGroup{QuotaKind::group, 50};

asio::awaitable<Quota> stored(Volume& v, QuotaKey key) {
  auto found = co_await v.record(key);
  auto* quota = std::get_if<Quota>(&found);
  EXPECT_TRUE(quota) << "no row";
  co_return quota ? *quota : Quota{};
}

Async<void> put_quota(Volume& v, QuotaKey key, std::int64_t space, std::int64_t inodes) {
  auto found = co_await v.record(key);
  auto* known = std::get_if<Quota>(&found);
  Commit commit;
  commit.writes.push_back(
      PutQuota{key, {space, inodes, known ? known->used_space : 0, known ? known->used_inodes : 0}});
  CO_CHECK(co_await v.client->commit(std::move(commit)));
  co_return Result<void>{};
}

Async<Ino> file_of(Volume& v, std::string name, std::uint32_t uid, std::uint32_t gid) {
  NewInode what{FileType::file, 0644, 0, 0, {}};
  Who who{uid, gid, false};
  CO_TRY(auto made, co_await make(*v.client, who, kRootIno, std::move(name), std::move(what)));
  co_return made.ino;
}

Format counting_owners() {
  auto format = Volume::plain();
  format.user_group_quota = true;
  return format;
}

}  // namespace

TEST(Quotas, OfUsersAndGroupsAreKept) {
  Volume v(counting_owners());
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    CO_ASSERT_OK(co_await put_quota(v, kUser, 16384, 0));
    CO_ASSERT_OK(co_await put_quota(v, kGroup, 0, 3));
    auto mine = co_await file_of(v, "mine", 1000, 50);
    CO_ASSERT_OK(mine);
    CO_ASSERT_OK(co_await v.write(*mine, 0, 10'000));  // 12 KiB of 16
    EXPECT_EQ((co_await stored(v, kUser)).used_space, 12288);
    auto over_space = co_await v.write(*mine, 10'000, 10'000);
    EXPECT_EQ(error_of(over_space), EDQUOT) << "the user's space";
    auto longer = co_await truncate(*v.client, v.root, *mine, 20'000, false);
    EXPECT_EQ(error_of(longer), EDQUOT);
    auto theirs = co_await file_of(v, "theirs", 1001, 50);  // the group counts, the user does not
    CO_ASSERT_OK(theirs);
    CO_ASSERT_OK(co_await v.write(*theirs, 0, 1 << 20));
    CO_ASSERT_OK(co_await file_of(v, "third", 1001, 50));
    auto over_inodes = co_await file_of(v, "fourth", 1002, 50);
    EXPECT_EQ(error_of(over_inodes), EDQUOT) << "the group's inodes";
    EXPECT_EQ((co_await stored(v, kGroup)).used_inodes, 3);
    CO_ASSERT_OK(co_await file_of(v, "elsewhere", 1002, 51));
    // Nothing that was refused was counted, and what goes is given back.
    EXPECT_EQ((co_await stored(v, kUser)).used_space, 12288);
    CO_ASSERT_OK(co_await unlink(*v.client, v.root, kRootIno, "theirs"));
    EXPECT_EQ((co_await stored(v, kGroup)).used_inodes, 2);
    CO_ASSERT_OK(co_await file_of(v, "fourth", 1002, 50));
    CO_ASSERT_OK(co_await truncate(*v.client, v.root, *mine, 0, false));
    EXPECT_EQ((co_await stored(v, kUser)).used_space, 4096) << "an empty file still counts a page";
  });
}

TEST(Quotas, ChownMovesUsageToTheNewOwner) {
  Volume v(counting_owners());
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto file = co_await file_of(v, "f", 1001, 51);
    CO_ASSERT_OK(file);
    CO_ASSERT_OK(co_await v.write(*file, 0, 10'000));
    AttrChange change;
    change.set = kUid | kGid;
    change.to.uid = 1000, change.to.gid = 50;
    CO_ASSERT_OK(co_await setattr(*v.client, v.root, *file, change));
    EXPECT_EQ((co_await stored(v, kUser)).used_space, 12288);
    EXPECT_EQ((co_await stored(v, kGroup)).used_inodes, 1);
    EXPECT_EQ((co_await stored(v, {QuotaKind::user, 1001})).used_space, 0);
    EXPECT_EQ((co_await stored(v, {QuotaKind::group, 51})).used_inodes, 0);
  });
}

TEST(Quotas, OnlyTheOwnerThatDiffersIsAskedForRoom) {
  Volume v(counting_owners());
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto file = co_await file_of(v, "f", 1000, 50);
    CO_ASSERT_OK(file);
    CO_ASSERT_OK(co_await v.write(*file, 0, 10'000));
    CO_ASSERT_OK(co_await put_quota(v, kUser, 12288, 1));  // both are full
    CO_ASSERT_OK(co_await put_quota(v, kGroup, 12288, 1));
    AttrChange group;
    group.set = kGid;
    group.to.gid = 51;
    CO_ASSERT_OK(co_await setattr(*v.client, v.root, *file, group));
    EXPECT_EQ((co_await stored(v, kUser)).used_space, 12288);
    EXPECT_EQ((co_await stored(v, kGroup)).used_inodes, 0);
    group.to.gid = 50;
    AttrChange user;
    user.set = kUid;
    user.to.uid = 1001;
    CO_ASSERT_OK(co_await setattr(*v.client, v.root, *file, group));
    CO_ASSERT_OK(co_await setattr(*v.client, v.root, *file, user));
    EXPECT_EQ((co_await stored(v, kUser)).used_inodes, 0);
    EXPECT_EQ((co_await stored(v, kGroup)).used_space, 12288);
    CO_ASSERT_OK(co_await file_of(v, "g", 1000, 51));
    user.to.uid = 1000;
    auto full = co_await setattr(*v.client, v.root, *file, user);
    EXPECT_EQ(error_of(full), EDQUOT) << "a user who becomes owner is";
  });
}

TEST(Quotas, AChownRefusedBesideAWriteMovesNothing) {
  Volume v(counting_owners());
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto file = co_await file_of(v, "f", 1001, 51);
    CO_ASSERT_OK(file);
    CO_ASSERT_OK(co_await put_quota(v, kUser, 1 << 20, 10));
    CO_ASSERT_OK(co_await put_quota(v, kGroup, 4096, 1));
    auto id = co_await v.client->new_slice_id();
    CO_ASSERT_OK(id);
    AttrChange change;
    change.set = kUid | kGid;
    change.to.uid = 1000, change.to.gid = 50;
    std::vector<PlacedSlice> slices{{ChunkIndex{0}, Slice{0, *id, 10'000, 0, 10'000}}};
    auto written =
        co_await write_slices(*v.client, *file, std::move(slices), v.clock->now(), AttrOrder{v.root, change});
    CO_ASSERT_OK(written);
    EXPECT_EQ(written->refused, posix(EDQUOT)) << "the group has no room, though the user has";
    EXPECT_EQ(written->attr.length, 10'000u);
    EXPECT_EQ((co_await stored(v, kUser)).used_inodes, 0);
    EXPECT_EQ((co_await stored(v, {QuotaKind::user, 1001})).used_inodes, 1);
    EXPECT_EQ((co_await stored(v, {QuotaKind::user, 1001})).used_space, 12288);
  });
}

TEST(Quotas, ThatOthersMakeAreHeardOfAtTheNextHeartbeat) {
  // SEMANTICS: A new limit or quota is heard of at the next heartbeat (12 s)
  // SEMANTICS: what is made under a new quota before that is not counted
  Volume v;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    ClientSession session(*v.client, co_await asio::this_coro::executor, SessionInfo(), {});
    CO_ASSERT_OK(co_await session.start());
    auto dir = co_await v.dir(kRootIno, "d");
    CO_ASSERT_OK(dir);
    QuotaKey key{QuotaKind::directory, dir->value};
    Commit quota;
    quota.writes.push_back(PutQuota{key, {1 << 20, 1, 0, 0}});
    v.engine->observe(nullptr);  // somebody else's
    CO_ASSERT_OK(co_await v.engine->commit(std::move(quota)));
    v.engine->observe(&v.client->cache());
    CO_ASSERT_OK(co_await v.file(*dir, "before"));
    EXPECT_EQ((co_await stored(v, key)).used_inodes, 0);
    CO_ASSERT_OK(co_await session.beat());
    CO_ASSERT_OK(co_await v.file(*dir, "counted"));
    EXPECT_EQ((co_await stored(v, key)).used_inodes, 1);
    auto refused = co_await v.file(*dir, "refused");
    EXPECT_EQ(error_of(refused), EDQUOT);
    CO_ASSERT_OK(co_await session.close());
  });
}

TEST(Quotas, SwitchedOnLaterTheyCountWhatThereIs) {
  auto format = Volume::plain();
  format.trash_days = 1;
  Volume v(format);
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto mine = co_await file_of(v, "mine", 1000, 50);
    CO_ASSERT_OK(mine);
    CO_ASSERT_OK(co_await v.write(*mine, 0, 10'000));
    CO_ASSERT_OK(co_await link(*v.client, v.root, *mine, kRootIno, "again"));
    auto dir = co_await v.dir(kRootIno, "d");
    CO_ASSERT_OK(dir);
    CO_ASSERT_OK(co_await file_of(v, "trashed", 1000, 51));
    CO_ASSERT_OK(co_await unlink(*v.client, v.root, kRootIno, "trashed"));
    auto open = co_await file_of(v, "open", 1001, 50);
    CO_ASSERT_OK(open);
    v.opened.push_back(*open);
    CO_ASSERT_OK(co_await unlink(*v.client, v.root, kRootIno, "open", true));
    CO_ASSERT_OK(co_await put_quota(v, kUser, 16384, 7));  // of an earlier time

    Commit session;
    session.writes.push_back(PutSession{SessionId{1}, {v.clock->now().sec + 60, "{}"}});
    CO_ASSERT_OK(co_await v.client->commit(std::move(session)));
    auto wanted = v.format;
    wanted.user_group_quota = true;
    auto refused = co_await format_volume(*v.engine, wanted, *v.clock);
    CO_ASSERT_TRUE(!refused);
    EXPECT_EQ(refused.error().code, posix(EBUSY));
    EXPECT_NE(refused.error().message.find("unmount"), std::string::npos) << refused.error().message;
    v.clock->advance(std::chrono::seconds(61));
    auto changed = co_await format_volume(*v.engine, wanted, *v.clock);
    CO_ASSERT_TRUE(changed);
    auto user = co_await stored(v, kUser);
    EXPECT_EQ(user.used_space, 12288 + 4096);
    EXPECT_EQ(user.used_inodes, 2) << "a file with two names, one in the trash";
    EXPECT_LE(user.max_space, 0);
    EXPECT_EQ((co_await stored(v, kGroup)).used_inodes, 2) << "one of them open, without a name";
    EXPECT_EQ((co_await stored(v, {QuotaKind::user, 0})).used_inodes, 1) << "the directory; the trash is nobody's";
  });
}

TEST(Usage, SparseFilesBeyondWhatCanBeCountedAreRefused) {
  Volume v;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    int error = 0, made = 0;
    while (error == 0 && made < 100) {
      auto file = co_await v.file(kRootIno, "f" + std::to_string(made));
      error = error_of(file);
      if (!file) break;
      CO_ASSERT_OK(co_await truncate(*v.client, v.root, *file, kMaxFileBytes, false));
      ++made;
      auto now = co_await usage(*v.client);
      CO_ASSERT_OK(now);
      EXPECT_LE(now->used_bytes, now->total_bytes);
      EXPECT_EQ(now->available_bytes, now->total_bytes - now->used_bytes);
    }
    EXPECT_EQ(error, ENOSPC);
    EXPECT_EQ(made, 32) << "2^57 bytes each, 2^62 in all";
    auto first = co_await lookup(*v.client, kRootIno, "f0");
    CO_ASSERT_OK(first);
    CO_ASSERT_OK(co_await truncate(*v.client, v.root, first->ino, 0, false));
    CO_ASSERT_OK(co_await truncate(*v.client, v.root, first->ino, 1 << 20, false));
    Commit damaged;
    damaged.writes.push_back(PutCounter{Counter::used_space, INT64_MAX});
    damaged.writes.push_back(PutCounter{Counter::total_inodes, INT64_MAX});
    CO_ASSERT_OK(co_await v.client->commit(std::move(damaged)));
    auto full = co_await usage(*v.client);
    CO_ASSERT_OK(full);
    EXPECT_EQ(full->available_bytes, 0u);
  });
}

TEST(Usage, LooksRoomyWithoutLimits) {
  Volume v;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    constexpr std::int64_t kPiB = std::int64_t{1} << 50, kTenMi = 10 << 20;
    struct Case {
      std::int64_t bytes, inodes;
      std::uint64_t total, available;
    };
    for (auto [bytes, inodes, total, available] :
         {Case{0, 0, kPiB, kTenMi}, Case{kPiB * 4 / 5, 4 * kTenMi, kPiB, kTenMi},
          Case{kPiB * 4 / 5 + 1, 4 * kTenMi + 1, 2 * kPiB, 2 * kTenMi}, Case{7 * kPiB, 0, 16 * kPiB, kTenMi}}) {
      Commit counted;
      counted.writes.push_back(PutCounter{Counter::used_space, bytes});
      counted.writes.push_back(PutCounter{Counter::total_inodes, inodes});
      CO_ASSERT_OK(co_await v.client->commit(std::move(counted)));
      auto now = co_await usage(*v.client);
      CO_ASSERT_OK(now);
      EXPECT_EQ(now->total_bytes, total) << bytes;
      EXPECT_EQ(now->available_inodes, available) << inodes;
    }
  });
}

TEST(Quotas, RootIsCountedButNotLimited) {
  Volume v(counting_owners());
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    CO_ASSERT_OK(co_await put_quota(v, {QuotaKind::user, 0}, 4096, 1));
    for (const char* name : {"a", "b", "c"}) CO_ASSERT_OK(co_await v.file(kRootIno, name));
    EXPECT_GE((co_await stored(v, {QuotaKind::user, 0})).used_inodes, 3);
  });
}

}  // namespace kiseki::meta::test
