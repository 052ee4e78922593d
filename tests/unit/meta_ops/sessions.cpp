#include <boost/asio/this_coro.hpp>

#include "meta/housekeeper.hpp"
#include "meta/ops/release.hpp"
#include "meta/session.hpp"
#include "volume.hpp"

namespace kiseki::meta::test {

namespace {

SessionInfo info() {
  SessionInfo i;
  i.version = "1.4.1";
  i.host = "here";
  i.mount_point = "/mnt";
  i.mounted_at = {1'767'225'600, 5};
  i.process_id = 42;
  return i;
}

}  // namespace

TEST(Sessions, InfoThereAndBack) {
  auto back = SessionInfo::parse(info().to_json());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->host, "here");
  EXPECT_EQ(back->mounted_at, info().mounted_at);
  EXPECT_EQ(back->process_id, 42);
}

TEST(Sessions, TheDeadAreBuried) {
  Volume v;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto home = co_await asio::this_coro::executor;
    ClientSession mine(*v.client, home, info(), {});
    CO_ASSERT_OK(co_await mine.start());
    auto sid = v.client->session();
    EXPECT_EQ(sid, SessionId{1});

    // Another session held a file open and locked, then died.
    auto file = co_await v.file(kRootIno, "f");
    CO_ASSERT_OK(file);
    v.client->set_session(SessionId{77});
    v.opened.push_back(*file);
    Commit dead;
    dead.writes.push_back(PutSession{SessionId{77}, {v.clock->now().sec + 60, "{}"}});
    CO_ASSERT_OK(co_await v.client->commit(std::move(dead)));
    CO_ASSERT_OK(co_await flock(*v.client, *file, 1, 1, false));
    CO_ASSERT_OK(co_await unlink(*v.client, v.root, kRootIno, "f"));
    EXPECT_TRUE(v.removed_files.empty());
    v.client->set_session(sid);
    v.opened.clear();

    CO_ASSERT_OK(co_await mine.beat());
    EXPECT_TRUE(v.removed_files.empty());
    v.clock->advance(std::chrono::seconds(30));
    CO_ASSERT_OK(co_await mine.beat());
    v.clock->advance(std::chrono::seconds(31));
    CO_ASSERT_OK(co_await mine.beat());
    EXPECT_EQ(std::get<FileLocks>(co_await v.record(FileLocksKey{*file})), FileLocks()) << "locks go at once";
    EXPECT_TRUE(v.removed_files.empty()) << "the holder may come back";
    v.clock->advance(kNamelessGrace);
    CO_ASSERT_OK(co_await mine.beat());
    EXPECT_EQ(v.removed_files.size(), 1u);
    auto gone = co_await v.record(SessionKey{SessionId{77}});
    EXPECT_TRUE(std::holds_alternative<std::monostate>(gone));
    EXPECT_EQ(co_await v.counter(Counter::total_inodes), 0);

    // Taken for dead ourselves, we come back.
    CO_ASSERT_OK(co_await end_session(*v.client, sid));
    CO_ASSERT_OK(co_await mine.beat());
    auto back = co_await v.record(SessionKey{sid});
    EXPECT_TRUE(std::holds_alternative<Session>(back));
    CO_ASSERT_OK(co_await mine.close());
    back = co_await v.record(SessionKey{sid});
    EXPECT_TRUE(std::holds_alternative<std::monostate>(back));
  });
}

namespace {

/// A client of its own of the volume `of`: what another machine would be.
struct Neighbour {
  explicit Neighbour(Volume& of) : client(of.engine, *of.client->format(), of.clock, ClientOptions()) {
    of.engine->observe(nullptr);  // its engine serves two: nobody hears
    client.set_session(SessionId{1000});
  }
  Client client;
};

}  // namespace

TEST(Sessions, OneOfManyClientsDoesAJobAndNotTooOften) {
  Volume v(Volume::plain(), {.post = true, .coherent = false});
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    Neighbour other(v);
    auto elected = [&](std::chrono::seconds interval) -> asio::awaitable<int> {
      int count = 0;
      auto stand = [&count, interval](Client& client) -> Async<void> {
        CO_TRY(auto is, co_await elect(client, Counter::last_cleanup_sessions, interval));
        count += is == Elected::yes;
        co_return Result<void>{};
      };
      std::vector<Async<void>> all;
      for (int i = 0; i < 8; ++i) all.push_back(stand(i % 2 ? other.client : *v.client));
      EXPECT_TRUE(co_await fan_out(std::move(all), 8));
      co_return count;
    };
    for (auto interval : {std::chrono::seconds(1), std::chrono::seconds(12)}) {
      v.clock->advance(std::chrono::seconds(20));
      EXPECT_EQ(co_await elected(interval), 1) << interval.count();
      EXPECT_EQ(co_await elected(interval), 0) << interval.count() << ": it was done just now";
      v.clock->advance(interval);
      EXPECT_EQ(co_await elected(interval), 1) << interval.count();
    }
  });
}

// A client that stands still past its expiry keeps what it holds open without a name.
TEST(Sessions, OneThatWasTakenForDeadKeepsItsNamelessFiles) {
  Volume v(Volume::plain(), {.coherent = false});
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    ClientSession mine(*v.client, co_await asio::this_coro::executor, info(), {});
    CO_ASSERT_OK(co_await mine.start());
    auto file = co_await v.file(kRootIno, "f");
    CO_ASSERT_OK(file);
    CO_ASSERT_OK(co_await v.write(*file, 0, 100));
    v.opened.push_back(*file);
    CO_ASSERT_OK(co_await unlink(*v.client, v.root, kRootIno, "f"));
    auto sid = v.client->session();
    Neighbour other(v);

    v.clock->advance(std::chrono::seconds(3000));
    auto reaped = co_await reap_stale_sessions(other.client);
    CO_ASSERT_OK(reaped);
    EXPECT_EQ(*reaped, 0u);
    CO_ASSERT_OK(co_await mine.beat());
    v.clock->advance(std::chrono::seconds(3000));
    reaped = co_await reap_stale_sessions(other.client);
    CO_ASSERT_OK(reaped);
    EXPECT_EQ(*reaped, 0u) << "a new time of grace";
    CO_ASSERT_OK(co_await getattr(*v.client, *file));
    CO_ASSERT_OK(co_await v.write(*file, 100, 100));

    // JuiceFS's clients end a session at once; what they did not get at is noted again.
    Commit ended;
    ended.writes = {EraseSustained{sid, *file}, EraseSession{sid}};
    CO_ASSERT_OK(co_await v.client->commit(std::move(ended)));
    CO_ASSERT_OK(co_await mine.beat());
    auto held = co_await v.engine->scan_locks(sid);
    CO_ASSERT_OK(held);
    EXPECT_EQ(held->sustained, std::vector<Ino>{*file});
    CO_ASSERT_OK(co_await release_sustained(*v.client, *file));
    EXPECT_EQ(v.removed_files.size(), 1u);

    // And what they deleted is gone: said once, and no reason to fail.
    CO_ASSERT_OK(co_await end_session(*v.client, sid));
    CO_ASSERT_OK(co_await mine.beat());
    CO_ASSERT_OK(co_await mine.close());
  });
}

// Who buries the dead looks again at each step whether they still are.
TEST(Sessions, NothingIsTakenFromOneThatCameBackMeanwhile) {
  Volume v(Volume::plain(), {.coherent = false});
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto file = co_await v.file(kRootIno, "f");
    CO_ASSERT_OK(file);
    v.opened.push_back(*file);
    CO_ASSERT_OK(co_await unlink(*v.client, v.root, kRootIno, "f"));
    Session was{v.clock->now().sec - 4000, "{}"};
    Commit back;
    back.writes.push_back(PutSession{SessionId{1}, {was.expire + 5000, "{}"}});
    CO_ASSERT_OK(co_await v.client->commit(std::move(back)));
    auto released = co_await release_sustained_of(*v.client, SessionId{1}, *file, was);
    EXPECT_EQ(error_of(released), ECANCELED);
    CO_ASSERT_OK(co_await getattr(*v.client, *file));
  });
}

TEST(Sessions, ALostVolumeEndsTheMount) {
  Volume v;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    std::string why;
    ClientSession::Options options;
    options.on_volume_lost = [&](std::string reason) { why = std::move(reason); };
    ClientSession mine(*v.client, co_await asio::this_coro::executor, info(), std::move(options));
    CO_ASSERT_OK(co_await mine.start());
    auto other = *v.client->format();
    other.uuid = new_uuid();
    Commit replaced;
    replaced.writes.push_back(PutSetting{other.to_json()});
    CO_ASSERT_OK(co_await v.client->commit(std::move(replaced)));
    CO_ASSERT_OK(co_await mine.beat());
    EXPECT_FALSE(why.empty());
    CO_ASSERT_OK(co_await mine.close());
  });
}

TEST(Housekeeping, TrashExpiresAndFilesGo) {
  // SEMANTICS: are removed after that many days
  auto format = Volume::plain();
  format.trash_days = 1;
  Volume v(format);
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    auto home = co_await asio::this_coro::executor;
    Housekeeper keeper(*v.client, home, {});
    auto dir = co_await v.dir(kRootIno, "d");
    CO_ASSERT_OK(dir);
    auto file = co_await v.file(*dir, "f");
    CO_ASSERT_OK(file);
    CO_ASSERT_OK(co_await v.write(*file, 0, 100));
    CO_ASSERT_OK(co_await unlink(*v.client, v.root, *dir, "f"));
    CO_ASSERT_OK(co_await rmdir(*v.client, v.root, kRootIno, "d"));
    EXPECT_EQ(co_await v.counter(Counter::total_inodes), 3);
    auto paths = co_await paths_of(*v.client, *file);
    CO_ASSERT_OK(paths);
    EXPECT_EQ(paths->front(),
              "/.trash/2026-01-01-00/" + std::to_string(dir->value) + "-" + std::to_string(file->value) + "-f");
    Who somebody{1000, 1000, false};
    auto hour = co_await resolve(*v.client, "/.trash/2026-01-01-00");
    CO_ASSERT_OK(hour);
    auto refused = co_await unlink(*v.client, somebody, hour->ino, "x");
    EXPECT_EQ(error_of(refused), EACCES);
    auto into = co_await v.file(hour->ino, "new");
    EXPECT_EQ(error_of(into), EPERM);

    v.clock->advance(std::chrono::hours(20));
    CO_ASSERT_OK(co_await keeper.look());
    EXPECT_EQ(co_await v.counter(Counter::total_inodes), 3);
    v.clock->advance(std::chrono::hours(8));
    CO_ASSERT_OK(co_await keeper.look());
    EXPECT_EQ(co_await v.counter(Counter::total_inodes), 0);
    EXPECT_EQ(co_await v.counter(Counter::used_space), 0);
    EXPECT_EQ(v.removed_files.size(), 1u);
    v.clock->advance(std::chrono::hours(2));
    CO_ASSERT_OK(co_await keeper.look());
    // Told by the file's deletion, and again by the slices job: this reaper forgets nothing.
    EXPECT_EQ(v.released.size(), 2u);
    CO_ASSERT_OK(co_await forget_slice(*v.client, v.released[0].id, v.released[0].size));
    auto ref = co_await v.record(SliceRefKey{v.released[0].id, v.released[0].size});
    EXPECT_TRUE(std::holds_alternative<std::monostate>(ref));
    co_await keeper.close();
  });
}

// Somebody may have opened it to read while its last name went.
TEST(Housekeeping, WhatIsOpenKeepsItsData) {
  Volume v;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    Housekeeper keeper(*v.client, co_await asio::this_coro::executor, {});
    std::vector<Ino> files;
    for (auto* name : {"read", "closed"}) {
      auto file = co_await v.file(kRootIno, name);
      CO_ASSERT_OK(file);
      CO_ASSERT_OK(co_await v.write(*file, 0, 100));
      CO_ASSERT_OK(co_await unlink(*v.client, v.root, kRootIno, name));
      files.push_back(*file);
    }
    v.opened.push_back(files[0]);
    v.clock->advance(std::chrono::hours(2));
    auto deleted = co_await keeper.delete_removed_files();
    CO_ASSERT_OK(deleted);
    EXPECT_EQ(*deleted, 1u);
    EXPECT_EQ(v.released.size(), 1u);
    EXPECT_TRUE(std::holds_alternative<Slices>(co_await v.record(ChunkKey{files[0], ChunkIndex{0}})));
    v.opened.clear();
    deleted = co_await keeper.delete_removed_files();
    CO_ASSERT_OK(deleted);
    EXPECT_EQ(*deleted, 1u) << "its turn comes with the next run";
    EXPECT_EQ(v.released.size(), 2u);
    co_await keeper.close();
  });
}

// More of them than the job asks for at a time, and older than what may go.
TEST(Housekeeping, WhatIsOpenHoldsUpNothing) {
  Volume v;
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    Housekeeper keeper(*v.client, co_await asio::this_coro::executor, {});
    Commit removals;
    for (std::uint64_t ino = 10'000; ino < 11'100; ++ino) {
      removals.writes.push_back(PutDeletedFile{Ino{ino}, 0, v.clock->now().sec});
      v.opened.push_back(Ino{ino});
    }
    CO_ASSERT_OK(co_await v.client->commit(std::move(removals)));
    v.clock->advance(std::chrono::seconds(1));
    Commit removal;
    removal.writes.push_back(PutDeletedFile{Ino{20'000}, 0, v.clock->now().sec});
    CO_ASSERT_OK(co_await v.client->commit(std::move(removal)));
    v.clock->advance(std::chrono::hours(2));
    auto deleted = co_await keeper.delete_removed_files();
    CO_ASSERT_OK(deleted);
    EXPECT_EQ(*deleted, 1u);
    v.opened.clear();
    deleted = co_await keeper.delete_removed_files();
    CO_ASSERT_OK(deleted);
    EXPECT_EQ(*deleted, 1100u) << "their turn comes with the next run";
    co_await keeper.close();
  });
}

TEST(Housekeeping, WhatMayNotBeRemovedHoldsUpNothing) {
  auto format = Volume::plain();
  format.trash_days = 1;
  Volume v(format);
  kiseki::test::run([&]() -> asio::awaitable<void> {
    co_await v.open();
    Housekeeper keeper(*v.client, co_await asio::this_coro::executor, {});
    auto kept = co_await v.file(kRootIno, "a");
    CO_ASSERT_OK(kept);
    CO_ASSERT_OK(co_await link(*v.client, v.root, *kept, kRootIno, "living"));
    CO_ASSERT_OK(co_await unlink(*v.client, v.root, kRootIno, "a"));
    AttrChange immutable{.set = kFlags, .to = {}};
    immutable.to.flags = kImmutable;
    CO_ASSERT_OK(co_await setattr(*v.client, v.root, *kept, immutable));
    for (auto* name : {"b", "c"}) {
      CO_ASSERT_OK(co_await v.file(kRootIno, name));
      CO_ASSERT_OK(co_await unlink(*v.client, v.root, kRootIno, name));
    }
    v.clock->advance(std::chrono::hours(1));
    CO_ASSERT_OK(co_await v.file(kRootIno, "later"));
    CO_ASSERT_OK(co_await unlink(*v.client, v.root, kRootIno, "later"));
    Commit replaced;
    replaced.writes.push_back(AddSliceRef{SliceId{9}, 1, 1, true});
    replaced.writes.push_back(PutDelayedSlices{SliceId{10}, v.clock->now().sec, {{SliceId{9}, 1}}});
    CO_ASSERT_OK(co_await v.client->commit(std::move(replaced)));

    v.clock->advance(std::chrono::hours(30));
    auto expired = co_await keeper.expire_trash();
    CO_ASSERT_OK(expired);
    EXPECT_EQ(*expired, 5u) << "three files, an hour, and what was replaced";
    EXPECT_EQ(v.released.size(), 1u);
    auto hours = co_await v.engine->scan_entries(kTrashIno, {}, 10, false);
    CO_ASSERT_OK(hours);
    EXPECT_EQ(hours->entries.size(), 1u);

    immutable.to.flags = 0;
    CO_ASSERT_OK(co_await setattr(*v.client, v.root, *kept, immutable));
    expired = co_await keeper.expire_trash();
    CO_ASSERT_OK(expired);
    EXPECT_EQ(*expired, 2u) << "its turn comes with the next run";
    CO_ASSERT_OK(co_await lookup(*v.client, kRootIno, "living"));
    co_await keeper.close();
  });
}

}  // namespace kiseki::meta::test
