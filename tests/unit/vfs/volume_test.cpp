#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <set>

#include "core/big_endian.hpp"
#include "mounted.hpp"
#include "vfs/control.hpp"
#include "vfs/internal_files.hpp"

namespace kiseki::vfs {

namespace {

/// What the kernel was told to forget.
struct FakeKernel final : KernelCache {
  void forget_entry(Ino, std::string) override {}
  void forget_data(Ino ino, std::uint64_t offset, std::uint64_t) override { data.emplace_back(ino, offset); }
  void forget_attr(Ino ino) override { attrs.push_back(ino); }
  bool maps_direct_files() const override { return maps; }
  bool gathers_writes() const override { return gathers; }
  bool maps = false, gathers = false;
  std::vector<std::pair<Ino, std::uint64_t>> data;
  std::vector<Ino> attrs;
};

Async<std::vector<std::string>> names_in(Volume& volume, Ino dir, std::size_t at_a_time = 1000) {
  CO_TRY(auto opened, co_await ask(volume.opendir(kRoot, dir, 0)));
  std::vector<std::string> names;
  std::uint64_t cookie = 0;
  for (bool more = true; more;) {
    more = false;
    std::size_t taken = 0;
    DirSink sink = [&](const DirEntry& entry) {
      if (taken == at_a_time) return false;
      names.emplace_back(entry.name);
      cookie = entry.cookie;
      ++taken;
      return more = true;
    };
    CO_CHECK(co_await ask(volume.readdir(kRoot, dir, opened.handle, cookie, true, sink)));
  }
  (void)co_await ask(volume.releasedir(kRoot, dir, opened.handle));
  co_return names;
}

TEST(Volume, WhatWasMadeIsFoundAndWhatWasRemovedIsNot) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto made = co_await ask(m.volume->mkdir(kRoot, kRootIno, "d", 0755, 022));
    CO_ASSERT_OK(made);
    auto found = co_await ask(m.volume->lookup(kRoot, kRootIno, "d"));
    CO_ASSERT_OK(found);
    EXPECT_EQ(found->ino, made->ino);
    EXPECT_EQ(found->attr.mode, 0755);
    CO_ASSERT_OK(co_await ask(m.volume->rmdir(kRoot, kRootIno, "d")));
    EXPECT_EQ((co_await ask(m.volume->lookup(kRoot, kRootIno, "d"))).error(), posix(ENOENT));
  });
}

TEST(Volume, AListingThatBeginsWhileTheEngineIsLostComesFromMemory) {
  // SEMANTICS: what this mount knows is told meanwhile without waiting (names, attributes, link targets, contents in
  // memory)
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto dir = co_await ask(m.volume->mkdir(kRoot, kRootIno, "d", 0755, 022));
    CO_ASSERT_OK(dir);
    for (auto* name : {"a", "b"})
      CO_ASSERT_OK(co_await ask(m.volume->mknod(kRoot, dir->ino, name, S_IFREG | 0644, 0, 0)));
    for (auto ino : {dir->ino, kRootIno}) {
      auto known = co_await names_in(*m.volume, ino);
      CO_ASSERT_OK(known);
      auto before = m.engine->scans;
      m.engine->cut_off = true;
      m.client->cache().out_of_touch();
      auto told = co_await names_in(*m.volume, ino);
      CO_ASSERT_OK(told);
      EXPECT_EQ(*told, *known);
      EXPECT_EQ(m.engine->scans, before) << "a listing that is asked for waits until the engine is back";
      EXPECT_TRUE(m.engine->away());
      m.engine->cut_off = m.engine->found_out = false;
      m.client->cache().everything_may_have_changed();
    }
  });
}

TEST(Volume, AListingFromMemoryIsRightAfterEveryChange) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto& volume = *m.volume;
    auto dir = co_await ask(volume.mkdir(kRoot, kRootIno, "d", 0755, 0));
    CO_ASSERT_OK(dir);
    std::set<std::string> expected{".", ".."};
    auto make = [&](const std::string& name) -> asio::awaitable<void> {
      CO_ASSERT_OK(co_await ask(volume.mknod(kRoot, dir->ino, name, S_IFREG | 0644, 0, 0)));
      expected.insert(name);
    };
    auto see = [&](std::size_t at_a_time) -> asio::awaitable<void> {
      auto names = co_await names_in(volume, dir->ino, at_a_time);
      CO_ASSERT_OK(names);
      EXPECT_EQ(names->size(), expected.size());
      EXPECT_EQ(std::set<std::string>(names->begin(), names->end()), expected);
    };
    for (int i = 0; i < 700; ++i) co_await make("n" + std::to_string(i));  // several pages
    for (std::size_t at_a_time : {1000u, 1u, 7u, 1000u}) co_await see(at_a_time);
    co_await make("new");
    co_await see(1000);
    CO_ASSERT_OK(co_await ask(volume.unlink(kRoot, dir->ino, "n0")));
    expected.erase("n0");
    co_await see(1000);
    co_await see(1000);
    CO_ASSERT_OK(co_await ask(volume.rename(kRoot, dir->ino, "n1", dir->ino, "m1", 0)));
    expected.erase("n1");
    expected.insert("m1");
    co_await see(1000);
    CO_ASSERT_OK(co_await ask(volume.rename(kRoot, dir->ino, "n2", kRootIno, "away", 0)));
    expected.erase("n2");
    co_await see(1000);
  });
}

TEST(Volume, AListingFromMemoryIsToldWithoutACoroutine) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto& volume = *m.volume;
    auto dir = co_await ask(volume.mkdir(kRoot, kRootIno, "d", 0755, 0));
    CO_ASSERT_OK(dir);
    for (auto* name : {"a", "b", "c"})
      CO_ASSERT_OK(co_await ask(volume.mknod(kRoot, dir->ino, name, S_IFREG | 0644, 0, 0)));
    CO_ASSERT_OK(co_await names_in(volume, dir->ino));
    auto opened = co_await ask(volume.opendir(kRoot, dir->ino, 0));
    CO_ASSERT_OK(opened);
    std::vector<std::pair<std::string, bool>> told;
    DirSink sink = [&](const DirEntry& entry) {
      told.emplace_back(entry.name, entry.full != nullptr);
      return true;
    };
    auto listing = volume.readdir(kRoot, dir->ino, opened->handle, 0, true, sink);
    EXPECT_TRUE(listing.ready());
    std::vector<std::pair<std::string, bool>> expected{
        {".", false}, {"..", false}, {"a", true}, {"b", true}, {"c", true}};
    EXPECT_EQ(told, expected);
    (void)co_await ask(volume.releasedir(kRoot, dir->ino, opened->handle));
  });
}

TEST(Volume, DotsAreFoundInADirectoryWhoseNamesAreAllKnown) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto above = co_await ask(m.volume->mkdir(kRoot, kRootIno, "d", 0755, 0));
    CO_ASSERT_OK(above);
    auto made = co_await ask(m.volume->mkdir(kRoot, above->ino, "e", 0755, 0));
    CO_ASSERT_OK(made);
    CO_ASSERT_OK(co_await names_in(*m.volume, made->ino));
    auto self = co_await ask(m.volume->lookup(kRoot, made->ino, "."));  // how a file handle is decoded
    CO_ASSERT_OK(self);
    EXPECT_EQ(self->ino, made->ino);
    auto parent = co_await ask(m.volume->lookup(kRoot, made->ino, ".."));
    CO_ASSERT_OK(parent);
    EXPECT_EQ(parent->ino, above->ino);
    auto root = co_await ask(m.volume->lookup(kRoot, above->ino, ".."));
    CO_ASSERT_OK(root);
    EXPECT_EQ(root->ino, kRootIno);
  });
}

TEST(Volume, AKnownNameIsAnsweredWithoutACoroutine) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto made = co_await ask(m.volume->mkdir(kRoot, kRootIno, "d", 0755, 0));
    CO_ASSERT_OK(made);
    EXPECT_TRUE(m.volume->lookup(kRoot, kRootIno, "d").ready());
    EXPECT_TRUE(m.volume->getattr(kRoot, made->ino, std::nullopt).ready());
  });
}

TEST(Volume, WrittenBytesAreReadAndCountInTheLengthBeforeTheyAreCommitted) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto made = co_await ask(m.volume->create(kRoot, kRootIno, "f", 0644, 0, O_RDWR));
    CO_ASSERT_OK(made);
    auto ino = made->entry.ino;
    auto wrote = co_await ask(m.volume->write(kRoot, ino, made->open.handle, 3, bytes("hello"), O_RDWR, false, false));
    CO_ASSERT_OK(wrote);
    auto attr = co_await ask(m.volume->getattr(kRoot, ino, std::nullopt));
    CO_ASSERT_OK(attr);
    EXPECT_EQ(attr->attr.length, 8u);
    auto read = co_await ask(m.volume->read(kRoot, ino, made->open.handle, 0, 100, O_RDWR));
    CO_ASSERT_OK(read);
    EXPECT_EQ(text_of(*read), std::string("\0\0\0hello", 8));
    CO_ASSERT_OK(co_await ask(m.volume->flush(kRoot, ino, made->open.handle, 0)));
    EXPECT_FALSE(m.data->dirty(ino));
    CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, ino, made->open.handle, 0, false)));
    EXPECT_EQ((co_await ask(m.volume->getattr(kRoot, ino, std::nullopt)))->attr.length, 8u);
  });
}

TEST(Volume, ARemovedDirectoryCanBeAskedUntilTheKernelForgetsIt) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto made = co_await ask(m.volume->mkdir(kRoot, kRootIno, "d", 0750, 0));
    CO_ASSERT_OK(made);
    CO_ASSERT_OK(co_await ask(m.volume->rmdir(kRoot, kRootIno, "d")));
    auto told = co_await ask(m.volume->getattr(kRoot, made->ino, std::nullopt));
    CO_ASSERT_OK(told);
    EXPECT_EQ(told->attr.mode, 0750);
    EXPECT_EQ(told->attr.nlink, 0u);
    SetAttr mode{.set = meta::kMode};
    mode.to.mode = 0700;
    CO_ASSERT_OK(co_await ask(m.volume->setattr(kRoot, made->ino, mode)));
    EXPECT_EQ((co_await ask(m.volume->getattr(kRoot, made->ino, std::nullopt)))->attr.mode, 0700);
    m.volume->forget(made->ino, 1);
    auto gone = co_await ask(m.volume->getattr(kRoot, made->ino, std::nullopt));
    EXPECT_EQ(gone.error(), posix(ESTALE));
  });
}

TEST(Volume, LocksOfAnOpenFileEndWithIt) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto made = co_await ask(m.volume->create(kRoot, kRootIno, "f", 0644, 0, O_RDWR));
    CO_ASSERT_OK(made);
    auto ino = made->entry.ino;
    auto other = co_await ask(m.volume->open(kRoot, ino, O_RDWR, false));
    CO_ASSERT_OK(other);
    LockRange all{.start = 0, .end = 99, .type = 1, .pid = 7};
    constexpr std::uint64_t kOpenFile = 11, kProcess = 22;
    CO_ASSERT_OK(co_await ask(m.volume->setlk(kRoot, ino, made->open.handle, kOpenFile, all, false)));
    CO_ASSERT_OK(co_await ask(m.volume->flush(kRoot, ino, made->open.handle, kProcess)));
    auto busy = co_await ask(m.volume->setlk(kRoot, ino, other->handle, kProcess, all, false));
    EXPECT_EQ(busy.error(), posix(EAGAIN)) << "a close of a copy of the descriptor takes nothing away";
    CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, ino, made->open.handle, kProcess, false)));
    CO_ASSERT_OK(co_await ask(m.volume->setlk(kRoot, ino, other->handle, kProcess, all, false)));
    CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, ino, other->handle, kProcess, false)));
  });
}

// What is buffered is asked for before what is stored: else a commit between the two takes the bytes out of both.
TEST(Volume, ACommitBetweenTwoLooksHidesNothing) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto made = co_await ask(m.volume->create(kRoot, kRootIno, "f", 0644, 0, O_RDWR));
    CO_ASSERT_TRUE(made.has_value());
    auto ino = made->entry.ino;
    int asked = 0;
    m.data->when_asked = [&](Ino) {  // at the moment of the question the five bytes have just been committed
      if (++asked > 1) return;
      meta::Commit commit;
      meta::PatchAttr patch{.ino = ino, .set = meta::kLength, .to = {}};
      patch.to.length = 5;
      commit.writes.push_back(patch);
      meta::Outcome applied;
      applied.applied = true;
      m.client->cache().committed(commit, applied);
    };
    auto told = co_await ask(m.volume->getattr(kRoot, ino, std::nullopt));
    CO_ASSERT_TRUE(told.has_value());
    EXPECT_EQ(told->attr.length, 5u);
    asked = 0;
    auto found = co_await ask(m.volume->lookup(kRoot, kRootIno, "f"));
    CO_ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->attr.length, 5u);
    m.data->when_asked = {};
  });
}

// After ESTALE Linux walks the path once more, and finds what has replaced the file.
TEST(Volume, AnInodeThatIsGoneIsStale) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    Ino gone{4711};
    EXPECT_EQ((co_await ask(m.volume->open(kRoot, gone, O_RDONLY, false))).error(), posix(ESTALE));
    EXPECT_EQ((co_await ask(m.volume->getattr(kRoot, gone, std::nullopt))).error(), posix(ESTALE));
    EXPECT_EQ((co_await ask(m.volume->setattr(kRoot, gone, {.set = meta::kMode}))).error(), posix(ESTALE));
    EXPECT_EQ((co_await ask(m.volume->readlink(kRoot, gone))).error(), posix(ESTALE));
  });
}

TEST(Volume, WhatOthersWroteShowsFromTheNextOpenOn) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    FakeKernel kernel;
    m.volume->attached(kernel);
    auto made = co_await ask(m.volume->create(kRoot, kRootIno, "f", 0644, 0, O_RDWR));
    CO_ASSERT_TRUE(made.has_value());
    auto ino = made->entry.ino;
    kernel.attrs.clear();
    (void)co_await ask(m.volume->open(kRoot, ino, O_RDONLY, false));
    EXPECT_TRUE(kernel.attrs.empty()) << "the kernel knows this version";
    auto id = co_await m.client->new_slice_id();
    m.clock->advance(std::chrono::seconds(1));
    Slice theirs{.pos = 0, .id = *id, .size = 5, .off = 0, .len = 5};
    (void)co_await meta::write_slice(*m.client, ino, ChunkIndex{0}, theirs, m.clock->now());
    auto opened = co_await ask(m.volume->open(kRoot, ino, O_WRONLY | O_APPEND, false));
    CO_ASSERT_TRUE(opened.has_value());
    EXPECT_EQ(kernel.attrs, std::vector<Ino>{ino});
    // The kernel's file still ends at 0, and there it would append.
    (void)co_await ask(
        m.volume->write(kRoot, ino, opened->handle, 0, bytes("mine"), O_WRONLY | O_APPEND, false, false));
    EXPECT_EQ(m.data->unflushed[ino], 9u);
    EXPECT_EQ(kernel.data, (std::vector<std::pair<Ino, std::uint64_t>>{{ino, 0}}));
    (void)co_await ask(m.volume->write(kRoot, ino, opened->handle, 9, bytes("!"), O_WRONLY | O_APPEND, false, false));
    EXPECT_EQ(m.data->unflushed[ino], 10u);
    EXPECT_EQ(kernel.data.size(), 1u) << "the kernel knew the end";
    CO_ASSERT_OK(co_await ask(m.volume->fsync(kRoot, ino, opened->handle, false)));
    m.client->cache().everything_may_have_changed();
    (void)co_await ask(m.volume->write(kRoot, ino, opened->handle, 3, bytes("?"), O_WRONLY | O_APPEND, false, false));
    EXPECT_EQ(m.data->unflushed[ino], 11u) << "of what memory does not know, the engine is asked";
  });
}

// Of its pages the kernel may hand out zeros then: a new length makes it clear them.
TEST(Volume, AFileThatOthersMadeShorterIsWrittenPastThePageCache) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    FakeKernel kernel;
    m.volume->attached(kernel);
    auto made = co_await ask(m.volume->create(kRoot, kRootIno, "f", 0644, 0, O_RDWR));
    CO_ASSERT_TRUE(made.has_value());
    auto ino = made->entry.ino;
    EXPECT_FALSE(made->open.direct_io);
    (void)co_await ask(m.volume->write(kRoot, ino, made->open.handle, 0, bytes("0123456789"), O_RDWR, false, false));
    auto direct = [&](std::uint32_t flags) -> asio::awaitable<bool> {
      auto opened = co_await ask(m.volume->open(kRoot, ino, flags, false));
      if (!opened) throw std::system_error(opened.error());
      (void)co_await ask(m.volume->release(kRoot, ino, opened->handle, 0, false));
      co_return opened->direct_io;
    };
    EXPECT_FALSE(co_await direct(O_WRONLY)) << "what is buffered counts";
    EXPECT_TRUE(co_await direct(O_WRONLY | O_APPEND)) << "else one write comes in two where a page ends";
    EXPECT_FALSE(co_await direct(O_RDWR | O_APPEND));
    kernel.gathers = true;
    EXPECT_FALSE(co_await direct(O_WRONLY | O_APPEND));
    CO_ASSERT_OK(co_await ask(m.volume->fsync(kRoot, ino, made->open.handle, false)));
    EXPECT_FALSE(co_await direct(O_WRONLY));
    CO_ASSERT_OK(co_await meta::truncate(*m.client, meta::Who{0, 0, false}, ino, 4, false));
    EXPECT_TRUE(co_await direct(O_WRONLY));
    EXPECT_FALSE(co_await direct(O_RDONLY));
    EXPECT_FALSE(co_await direct(O_RDWR)) << "this kernel could not map it";
    kernel.maps = true;
    EXPECT_TRUE(co_await direct(O_RDWR));
    EXPECT_FALSE(co_await direct(O_WRONLY | O_TRUNC)) << "the kernel itself begins anew";
    EXPECT_FALSE(co_await direct(O_WRONLY));
  });
}

TEST(Volume, TheKernelForgetsWhereSomethingAppendedSeemedToBe) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    FakeKernel kernel;
    m.volume->attached(kernel);
    m.data->moved(Ino{5});
    EXPECT_EQ(kernel.data, (std::vector<std::pair<Ino, std::uint64_t>>{{Ino{5}, 0}}));
    co_return;
  });
}

TEST(Volume, ANameThatIsAboutToBeMadeIsLookedUpAnew) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    m.engine->late = true;
    CO_ASSERT_OK(co_await ask(m.volume->mkdir(kRoot, kRootIno, "d", 0755, 022)));
    m.engine->when_catching_up = [&] { m.client->cache().changed_elsewhere(meta::EntryKey{kRootIno, "d"}); };
    CO_ASSERT_OK(co_await ask(m.volume->lookup(kRoot, kRootIno, "d")));
    EXPECT_EQ(m.engine->caught_up, 1) << "the kernel still knows the name, and asks";
    EXPECT_EQ((co_await ask(m.volume->lookup(kRoot, kRootIno, "e"))).error(), posix(ENOENT));
    EXPECT_EQ((co_await ask(m.volume->lookup(kRoot, kRootIno, "e"))).error(), posix(ENOENT));
    EXPECT_EQ(m.engine->caught_up, 1) << "of what is not there it knows nothing";
  });
}

TEST(Volume, AnUnlinkedFileLivesUntilItsLastClose) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto made = co_await ask(m.volume->create(kRoot, kRootIno, "f", 0644, 0, O_RDWR));
    CO_ASSERT_OK(made);
    auto ino = made->entry.ino;
    CO_ASSERT_OK(co_await ask(m.volume->unlink(kRoot, kRootIno, "f")));
    auto attr = co_await ask(m.volume->getattr(kRoot, ino, std::nullopt));
    CO_ASSERT_OK(attr);
    EXPECT_EQ(attr->attr.nlink, 0u);
    auto held = co_await m.client->engine().scan_locks(SessionId{1});
    CO_ASSERT_OK(held);
    EXPECT_EQ(held->sustained, std::vector<Ino>{ino});
    CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, ino, made->open.handle, 0, false)));
    co_await m.volume->destroyed();
    EXPECT_TRUE((co_await m.client->engine().scan_locks(SessionId{1}))->sustained.empty());
    EXPECT_EQ((co_await meta::getattr(*m.client, ino)).error(), posix(ENOENT));
  });
}

TEST(Volume, TruncateFlushesFirstAndTellsTheReader) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto made = co_await ask(m.volume->create(kRoot, kRootIno, "f", 0644, 0, O_RDWR));
    CO_ASSERT_OK(made);
    auto ino = made->entry.ino;
    (void)co_await ask(m.volume->write(kRoot, ino, made->open.handle, 0, bytes("0123456789"), O_RDWR, false, false));
    SetAttr shorter{.set = meta::kLength};
    shorter.to.length = 4;
    auto after = co_await ask(m.volume->setattr(kRoot, ino, shorter));
    CO_ASSERT_OK(after);
    EXPECT_EQ(after->attr.length, 4u);
    EXPECT_EQ(m.data->invalidated[ino], 1);
    CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, ino, made->open.handle, 0, false)));
  });
}

TEST(Volume, ListingGivesEveryNameOnceInAnyPortions) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    std::set<std::string> want{".", ".."};
    auto dir = co_await ask(m.volume->mkdir(kRoot, kRootIno, "d", 0755, 0));
    CO_ASSERT_OK(dir);
    for (int i = 0; i < 25; ++i) {
      auto name = "file" + std::to_string(i);
      want.insert(name);
      CO_ASSERT_OK(co_await ask(m.volume->mknod(kRoot, dir->ino, name, S_IFREG | 0644, 0, 0)));
    }
    for (std::size_t portion : {1u, 2u, 7u, 1000u}) {
      auto names = co_await names_in(*m.volume, dir->ino, portion);
      CO_ASSERT_OK(names);
      EXPECT_EQ(names->size(), want.size()) << portion;
      EXPECT_EQ(std::set<std::string>(names->begin(), names->end()), want) << portion;
    }
  });
}

TEST(Volume, TheRootListsInternalFilesUnlessHidden) {
  with_volume(
      [](Mounted& m) -> asio::awaitable<void> {
        auto names = co_await names_in(*m.volume, kRootIno);
        CO_ASSERT_OK(names);
        EXPECT_EQ(*names, (std::vector<std::string>{".", "..", ".accesslog", ".config", ".stats", ".trash"}));
      },
      {}, 1);
  with_volume(
      [](Mounted& m) -> asio::awaitable<void> {
        auto names = co_await names_in(*m.volume, kRootIno);
        CO_ASSERT_OK(names);
        EXPECT_EQ(*names, (std::vector<std::string>{".", ".."}));
        EXPECT_TRUE((co_await ask(m.volume->lookup(kRoot, kRootIno, ".stats"))).has_value()) << "hidden, not gone";
      },
      {.hide_internal = true}, 1);
}

TEST(Volume, InternalFilesReadAndRefuseChanges) {
  with_volume(
      [](Mounted& m) -> asio::awaitable<void> {
        auto found = co_await ask(m.volume->lookup(kRoot, kRootIno, ".stats"));
        CO_ASSERT_OK(found);
        EXPECT_EQ(found->ino, kStatsIno);
        auto opened = co_await ask(m.volume->open(kRoot, kStatsIno, O_RDONLY, false));
        CO_ASSERT_OK(opened);
        auto read = co_await ask(m.volume->read(kRoot, kStatsIno, opened->handle, 0, 100, 0));
        CO_ASSERT_OK(read);
        EXPECT_EQ(text_of(*read), "juicefs_uptime 1\n");
        EXPECT_EQ((co_await ask(m.volume->open(kRoot, kStatsIno, O_RDWR, false))).error(), posix(EACCES));
        EXPECT_EQ((co_await ask(m.volume->unlink(kRoot, kRootIno, ".stats"))).error(), posix(EPERM));
        EXPECT_EQ((co_await ask(m.volume->mkdir(kRoot, kRootIno, ".config", 0755, 0))).error(), posix(EEXIST));
      },
      {.stats_text = []() -> Async<std::string> { co_return std::string("juicefs_uptime 1\n"); }});
}

std::string control_request(std::uint32_t op, std::string_view body) {
  std::string out;
  BigEndianWriter(out).u32(op).u32(static_cast<std::uint32_t>(body.size())).bytes(body);
  return out;
}

TEST(Volume, ControlAnswersInfoAndRefusesWhatItDoesNotKnow) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto dir = co_await ask(m.volume->mkdir(kRoot, kRootIno, "d", 0755, 0));
    CO_ASSERT_OK(dir);
    std::string body;
    BigEndianWriter(body).u64(dir->ino.value).u8(1).u8(0).u8(1);
    auto request = control_request(1005, body);
    auto opened = co_await ask(m.volume->open(kRoot, kControlIno, O_RDWR, false));
    CO_ASSERT_OK(opened);
    CO_ASSERT_OK(co_await ask(m.volume->write(kRoot, kControlIno, opened->handle, 0, bytes(request), 0, false, false)));
    auto read = co_await ask(m.volume->read(kRoot, kControlIno, opened->handle, request.size(), 65536, 0));
    CO_ASSERT_OK(read);
    auto reply = text_of(*read);
    CO_ASSERT_TRUE(reply.size() > 5 && reply[0] == '\xff');
    auto info = boost::json::parse(reply.substr(5)).as_object();
    EXPECT_EQ(info.at("Failed"), false);
    EXPECT_EQ(info.at("Summary").at("Dirs"), 1);
    EXPECT_EQ(info.at("Paths").at(0), "/d");

    auto unknown = control_request(4711, "");
    auto second = co_await ask(m.volume->open(kRoot, kControlIno, O_RDWR, false));
    (void)co_await ask(m.volume->write(kRoot, kControlIno, second->handle, 0, bytes(unknown), 0, false, false));
    auto refused = co_await ask(m.volume->read(kRoot, kControlIno, second->handle, unknown.size(), 100, 0));
    CO_ASSERT_OK(refused);
    EXPECT_EQ(text_of(*refused), std::string(1, static_cast<char>(EINVAL)));
  });
}

TEST(Volume, InfoNamesTheObjectsBehindAFile) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto made = co_await ask(m.volume->create(kRoot, kRootIno, "f", 0644, 0, O_RDWR));
    CO_ASSERT_OK(made);
    auto ino = made->entry.ino;
    std::string text(5'000'000, 'x');
    CO_ASSERT_OK(co_await ask(m.volume->write(kRoot, ino, made->open.handle, 0, bytes(text), O_RDWR, false, false)));
    CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, ino, made->open.handle, 0, false)));
    auto answer = co_await info_json(*m.client, {.ino = ino});
    CO_ASSERT_OK(answer);
    auto info = boost::json::parse(*answer).as_object();
    auto& objects = info.at("Objects").as_array();
    CO_ASSERT_TRUE(objects.size() == 2);
    auto slices = co_await meta::read_slices(*m.client, ino, ChunkIndex{0});
    CO_ASSERT_OK(slices);
    auto id = std::to_string(slices->at(0).id.value);
    EXPECT_EQ(objects[0].at("Key").as_string(), "test/chunks/0/0/" + id + "_0_4194304");
    EXPECT_EQ(objects[1].at("Key").as_string(), "test/chunks/0/0/" + id + "_1_805696");
    EXPECT_EQ(objects[1].at("Len"), 805696);
    EXPECT_EQ(info.at("Summary").at("Length"), 5'000'000);
  });
}

TEST(Volume, ReadOnlyRefusesEveryChange) {
  with_volume(
      [](Mounted& m) -> asio::awaitable<void> {
        EXPECT_EQ((co_await ask(m.volume->mkdir(kRoot, kRootIno, "d", 0755, 0))).error(), posix(EROFS));
        EXPECT_EQ((co_await ask(m.volume->unlink(kRoot, kRootIno, "d"))).error(), posix(EROFS));
        EXPECT_EQ((co_await ask(m.volume->setattr(kRoot, kRootIno, SetAttr{.set = meta::kMode}))).error(),
                  posix(EROFS));
        EXPECT_EQ((co_await ask(m.volume->access(kRoot, kRootIno, W_OK))).error(), posix(EROFS));
        EXPECT_TRUE((co_await ask(m.volume->getattr(kRoot, kRootIno, std::nullopt))).has_value());
      },
      {.read_only = true});
}

TEST(Volume, ChattrFlagsStopWriters) {
  with_volume(
      [](Mounted& m) -> asio::awaitable<void> {
        auto made = co_await ask(m.volume->mknod(kRoot, kRootIno, "f", S_IFREG | 0644, 0, 0));
        CO_ASSERT_OK(made);
        std::uint32_t flags = FS_IMMUTABLE_FL;
        auto in = std::as_bytes(std::span(&flags, 1));
        CO_ASSERT_OK(co_await ask(m.volume->ioctl(kRoot, made->ino, {}, 0x40086602, in, 0)));
        auto got = co_await ask(m.volume->ioctl(kRoot, made->ino, {}, 0x80086601, {}, 8));
        CO_ASSERT_OK(got);
        EXPECT_EQ(got->out[0], static_cast<std::byte>(FS_IMMUTABLE_FL));
        EXPECT_EQ((co_await ask(m.volume->open(kRoot, made->ino, O_WRONLY, false))).error(), posix(EPERM));
        EXPECT_TRUE((co_await ask(m.volume->open(kRoot, made->ino, O_RDONLY, false))).has_value());
        Caller user{.uid = 1000, .gid = 1000, .pid = 1};
        EXPECT_EQ((co_await ask(m.volume->ioctl(user, made->ino, {}, 0x40086602, in, 0))).error(), posix(EPERM));
        fsxattr told{};  // Linux asks for this before it sets any flag
        auto as_struct = co_await ask(m.volume->ioctl(kRoot, made->ino, {}, FS_IOC_FSGETXATTR, {}, sizeof told));
        CO_ASSERT_OK(as_struct);
        CO_ASSERT_TRUE(as_struct->out.size() == sizeof told);
        std::memcpy(&told, as_struct->out.data(), sizeof told);
        EXPECT_EQ(told.fsx_xflags, std::uint32_t{FS_XFLAG_IMMUTABLE});
        told.fsx_xflags = FS_XFLAG_APPEND;
        auto in_struct = std::as_bytes(std::span(&told, 1));
        CO_ASSERT_OK(co_await ask(m.volume->ioctl(kRoot, made->ino, {}, FS_IOC_FSSETXATTR, in_struct, 0)));
        EXPECT_EQ((co_await ask(m.volume->getattr(kRoot, made->ino, std::nullopt)))->attr.flags, meta::kAppendOnly);
        told.fsx_xflags = FS_XFLAG_NODUMP;
        EXPECT_EQ((co_await ask(m.volume->ioctl(kRoot, made->ino, {}, FS_IOC_FSSETXATTR, in_struct, 0))).error(),
                  posix(EOPNOTSUPP));
      },
      {.ioctl = true});
}

TEST(Volume, SquashedRootOwnsWhatItMakesAsSomebodyElse) {
  with_volume(
      [](Mounted& m) -> asio::awaitable<void> {
        auto made = co_await ask(m.volume->mkdir(kRoot, kRootIno, "d", 0755, 0));
        CO_ASSERT_OK(made);
        EXPECT_EQ(made->attr.uid, 65534u);
        EXPECT_EQ(made->attr.gid, 65533u);
      },
      {.root_squash = Caller{.uid = 65534, .gid = 65533, .pid = 0}});
}

TEST(Volume, NamesTooLongAreRefusedBeforeAnyRecordIsRead) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    std::string name(256, 'x');
    auto answer = m.volume->lookup(kRoot, kRootIno, name);
    CO_ASSERT_TRUE(answer.ready());
    EXPECT_EQ(answer.now().error(), posix(ENAMETOOLONG));
    EXPECT_EQ((co_await ask(m.volume->mkdir(kRoot, kRootIno, name, 0755, 0))).error(), posix(ENAMETOOLONG));
  });
}

}  // namespace
}  // namespace kiseki::vfs
