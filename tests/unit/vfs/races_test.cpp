// What comes between two steps of a request: commits, opens, closes, losses.
#include <sys/stat.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "core/async.hpp"
#include "mounted.hpp"

namespace kiseki::vfs {
namespace {

Async<CreateReply> make_file(Mounted& m, std::string name, std::string_view text = {}, std::uint32_t flags = O_RDWR) {
  CO_TRY(auto made, co_await ask(m.volume->create(kRoot, kRootIno, name, 0644, 0, flags)));
  if (text.empty()) co_return made;
  CO_CHECK(co_await ask(m.volume->write(kRoot, made.entry.ino, made.open.handle, 0, bytes(text), flags, false, false)));
  co_return made;
}

/// The next question for what is buffered finds that it has just been committed.
void commit_when_asked(Mounted& m, asio::any_io_executor home) {
  m.data->asked = [&m, home](Ino ino) {
    asio::co_spawn(home, ask(m.data->flush(ino, nullptr)), asio::detached);  // to its end: nothing suspends
    EXPECT_FALSE(m.data->dirty(ino));
  };
}

// ---- attributes and commits -------------------------------------------------------------------------------------

TEST(Races, ACommitBetweenAttributesAndBufferIsSeen) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto home = co_await asio::this_coro::executor;
    auto& volume = *m.volume;
    for (std::string way : {"getattr", "lookup", "read"}) {
      auto made = co_await make_file(m, way, "12345");
      CO_ASSERT_OK(made);
      auto ino = made->entry.ino;
      commit_when_asked(m, home);
      if (way == "getattr") {
        auto told = co_await ask(volume.getattr(kRoot, ino, std::nullopt));
        CO_ASSERT_OK(told);
        EXPECT_EQ(told->attr.length, 5u);
      } else if (way == "lookup") {
        auto found = co_await ask(volume.lookup(kRoot, kRootIno, way));
        CO_ASSERT_OK(found);
        EXPECT_EQ(found->attr.length, 5u);
      } else {
        auto reply = co_await ask(volume.read(kRoot, ino, made->open.handle, 0, 100, O_RDWR));
        CO_ASSERT_OK(reply);
        EXPECT_EQ(text_of(*reply), "12345");
      }
      EXPECT_FALSE(m.data->asked) << way;
      CO_ASSERT_OK(co_await ask(volume.release(kRoot, ino, made->open.handle, 0, false)));
    }
  });
}

TEST(Races, APageOfAListingTellsNoLengthFromBeforeAWrite) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto& volume = *m.volume;
    std::map<std::string, Ino> files;
    for (int i = 0; i < 60; ++i) {
      auto name = "n" + std::to_string(i);
      auto made = co_await ask(volume.mknod(kRoot, kRootIno, name, S_IFREG | 0644, 0, 0));
      CO_ASSERT_OK(made);
      files[name] = made->ino;
    }
    auto opened = co_await ask(volume.opendir(kRoot, kRootIno, 0));
    CO_ASSERT_OK(opened);
    std::uint64_t cookie = 0;
    auto list = [&](std::size_t most) -> Async<void> {
      DirSink sink = [&, most](const DirEntry& entry) mutable {
        if (most-- == 0) return false;
        cookie = entry.cookie;
        auto name = std::string(entry.name);
        if (!entry.full || cookie <= 12 || files.erase(name) == 0) return true;
        EXPECT_EQ(entry.full->attr.length, 5u) << name;
        return true;
      };
      return ask(volume.readdir(kRoot, kRootIno, opened->handle, cookie, true, sink));
    };
    CO_ASSERT_OK(co_await list(12));
    for (auto& [name, ino] : files) {
      auto file = co_await ask(volume.open(kRoot, ino, O_WRONLY, false));
      CO_ASSERT_OK(file);
      CO_ASSERT_OK(co_await ask(volume.write(kRoot, ino, file->handle, 0, bytes("12345"), O_WRONLY, false, false)));
      CO_ASSERT_OK(co_await ask(volume.fsync(kRoot, ino, file->handle, false)));
      CO_ASSERT_OK(co_await ask(volume.release(kRoot, ino, file->handle, 0, false)));
    }
    CO_ASSERT_OK(co_await list(1000));
    CO_ASSERT_OK(co_await ask(volume.releasedir(kRoot, kRootIno, opened->handle)));
  });
}

TEST(Races, CreatingWhatIsThereAnswersWithItsLengthAfterTheCut) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto first = co_await make_file(m, "f", "0123456789");
    CO_ASSERT_OK(first);
    CO_ASSERT_OK(co_await ask(m.volume->fsync(kRoot, first->entry.ino, first->open.handle, false)));
    auto again = co_await ask(m.volume->create(kRoot, kRootIno, "f", 0644, 0, O_RDWR | O_TRUNC));
    CO_ASSERT_OK(again);
    EXPECT_EQ(again->entry.ino, first->entry.ino);
    EXPECT_EQ(again->entry.attr.length, 0u);
    for (auto* one : {&*first, &*again})
      CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, one->entry.ino, one->open.handle, 0, false)));
  });
}

// ---- losses -----------------------------------------------------------------------------------------------------

// SEMANTICS: what could not be stored of a file is told to each descriptor open meanwhile, once, by its next fsync
// SEMANTICS: until then, writing more through it fails too
TEST(Races, WhatIsLostIsToldToEveryWriterAndNobodyElseTakesIt) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto& volume = *m.volume;
    auto one = co_await make_file(m, "f", "text");
    CO_ASSERT_OK(one);
    auto ino = one->entry.ino;
    auto other = co_await ask(volume.open(kRoot, ino, O_WRONLY, false));
    auto reader = co_await ask(volume.open(kRoot, ino, O_RDONLY, false));
    CO_ASSERT_OK(other);
    CO_ASSERT_OK(reader);
    auto write = [&](HandleId handle) -> Async<std::uint32_t> {
      return ask(volume.write(kRoot, ino, handle, 0, bytes("more"), O_WRONLY, false, false));
    };
    CO_ASSERT_OK(co_await write(other->handle));
    CO_ASSERT_OK(co_await ask(volume.flush(kRoot, ino, reader->handle, 0)));
    m.data->lost.add(ino, posix(ENOSPC));
    CO_ASSERT_OK(co_await ask(volume.flush(kRoot, ino, reader->handle, 0)));
    CO_ASSERT_OK(co_await ask(volume.lseek(kRoot, ino, reader->handle, 0, SEEK_DATA)));
    SetAttr times{.set = meta::kMtime};
    CO_ASSERT_OK(co_await ask(volume.setattr(kRoot, ino, times)));
    auto later = co_await ask(volume.open(kRoot, ino, O_WRONLY, false));
    CO_ASSERT_OK(later);
    EXPECT_EQ((co_await write(other->handle)).error(), posix(ENOSPC)) << "what follows a loss is not taken";
    for (auto handle : {one->open.handle, other->handle}) {
      EXPECT_EQ((co_await ask(volume.fsync(kRoot, ino, handle, false))).error(), posix(ENOSPC));
      CO_ASSERT_OK(co_await ask(volume.fsync(kRoot, ino, handle, false)));
      CO_ASSERT_OK(co_await write(handle));
    }
    CO_ASSERT_OK(co_await write(later->handle));
    CO_ASSERT_OK(co_await ask(volume.fsync(kRoot, ino, later->handle, false)));
    for (auto handle : {one->open.handle, other->handle, later->handle, reader->handle})
      CO_ASSERT_OK(co_await ask(volume.release(kRoot, ino, handle, 0, false)));
    EXPECT_FALSE(m.data->lost.since(0, ino)) << "nobody is left who would ask";
  });
}

// The kernel writes pages through whichever descriptor it likes: the first write through this one tells what was lost.
TEST(Races, WhatWasLostSinceItWasOpenedIsToldToWhoHasNotWrittenYet) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto made = co_await make_file(m, "f", "text");
    CO_ASSERT_OK(made);
    auto ino = made->entry.ino;
    auto other = co_await ask(m.volume->open(kRoot, ino, O_WRONLY, false));
    CO_ASSERT_OK(other);
    m.data->lost.add(ino, posix(ENOSPC));
    auto wrote = co_await ask(m.volume->write(kRoot, ino, other->handle, 0, bytes("more"), O_WRONLY, false, false));
    EXPECT_EQ(wrote.error(), posix(ENOSPC));
    EXPECT_EQ((co_await ask(m.volume->fsync(kRoot, ino, other->handle, false))).error(), posix(ENOSPC));
    for (auto handle : {made->open.handle, other->handle})
      CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, ino, handle, 0, false)));
  });
}

TEST(Races, WhoOpensAsTheLastOneClosesIsToldOfWhatIsLostThen) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto made = co_await make_file(m, "f", "text");
    CO_ASSERT_OK(made);
    auto ino = made->entry.ino;
    CO_ASSERT_OK(co_await ask(m.volume->fsync(kRoot, ino, made->open.handle, false)));
    m.data->lost.add(ino, posix(EIO));
    std::optional<HandleId> other;
    m.data->losses_asked = [&] {
      if (other || m.client->is_open(ino)) return;
      other = HandleId{};  // the open asks, too
      auto opened = m.volume->open(kRoot, ino, O_RDWR, false);
      if (opened.ready() && opened.now()) other = opened.now()->handle;
      m.data->lost.add(ino, posix(ENOSPC));
    };
    CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, ino, made->open.handle, 0, false)));
    CO_ASSERT_TRUE(other && *other != HandleId{});
    EXPECT_EQ((co_await ask(m.volume->fsync(kRoot, ino, *other, false))).error(), posix(ENOSPC));
    CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, ino, *other, 0, false)));
    EXPECT_FALSE(m.data->lost.since(0, ino)) << "nobody is left who would ask";
    m.data->losses_asked = {};
  });
}

TEST(Races, ADirectWriteThatMustBeDurableIsStoredWhenAnswered) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto made = co_await make_file(m, "f", {}, O_RDWR | O_DIRECT);
    CO_ASSERT_OK(made);
    auto ino = made->entry.ino;
    auto write = [&](std::uint32_t flags) -> Async<std::uint32_t> {
      return ask(m.volume->write(kRoot, ino, made->open.handle, 0, bytes("text"), flags, false, false));
    };
    CO_ASSERT_OK(co_await write(O_RDWR | O_DIRECT));
    EXPECT_TRUE(m.data->dirty(ino));
    CO_ASSERT_OK(co_await write(O_RDWR | O_DIRECT | O_DSYNC));
    EXPECT_FALSE(m.data->dirty(ino));
    m.data->lost.add(ino, posix(EIO));
    CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, ino, made->open.handle, 0, false)));
  });
}

// ---- opens, closes and the last name ----------------------------------------------------------------------------

TEST(Races, ACloseWhileTheLastNameGoesReleasesTheInode) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto made = co_await make_file(m, "f", "text");
    CO_ASSERT_OK(made);
    auto ino = made->entry.ino;
    CO_ASSERT_OK(co_await ask(m.volume->flush(kRoot, ino, made->open.handle, 0)));
    m.engine->before_commit = [&]() -> asio::awaitable<void> {
      CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, ino, made->open.handle, 0, false)));
    };
    CO_ASSERT_OK(co_await ask(m.volume->unlink(kRoot, kRootIno, "f")));
    EXPECT_FALSE(m.engine->before_commit);
    co_await m.volume->destroyed();
    EXPECT_TRUE((co_await m.client->engine().scan_locks(SessionId{1}))->sustained.empty());
    EXPECT_EQ((co_await meta::getattr(*m.client, ino)).error(), posix(ENOENT));
  });
}

TEST(Races, AWriterWhoOpensWhileTheLastNameGoesWaitsForWhatBecomesOfIt) {
  for (bool fails : {false, true}) {
    with_volume([fails](Mounted& m) -> asio::awaitable<void> {
      auto made = co_await make_file(m, "f", "text");
      CO_ASSERT_OK(made);
      auto ino = made->entry.ino;
      CO_ASSERT_OK(co_await ask(m.volume->flush(kRoot, ino, made->open.handle, 0)));
      CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, ino, made->open.handle, 0, false)));
      std::optional<Answer<OpenReply>> opening;
      m.engine->before_commit = [&]() -> asio::awaitable<void> {
        if (fails) m.engine->failures = 1;
        opening.emplace(m.volume->open(kRoot, ino, O_RDWR, false));
        co_return;
      };
      auto gone = co_await ask(m.volume->unlink(kRoot, kRootIno, "f"));
      EXPECT_EQ(gone.has_value(), !fails);
      CO_ASSERT_TRUE(opening.has_value());
      auto opened = co_await std::move(*opening).get();
      if (!fails) {
        EXPECT_EQ(opened.error(), posix(ESTALE)) << "there is nothing left to write to: the kernel walks the path anew";
        co_return;
      }
      CO_ASSERT_OK(opened);
      auto read = co_await ask(m.volume->read(kRoot, ino, opened->handle, 0, 100, O_RDWR));
      CO_ASSERT_OK(read);
      EXPECT_EQ(text_of(*read), "text");
      CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, ino, opened->handle, 0, false)));
    });
  }
}

// In a storm of renames over one file, each version is being erased when it is opened: a reader who had to wait for it
// would find the next one in the same state.
TEST(Races, AReaderWhoOpensWhileTheLastNameGoesReadsTheFile) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto made = co_await make_file(m, "f", "text");
    CO_ASSERT_OK(made);
    auto ino = made->entry.ino;
    CO_ASSERT_OK(co_await ask(m.volume->flush(kRoot, ino, made->open.handle, 0)));
    CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, ino, made->open.handle, 0, false)));
    CO_ASSERT_OK(co_await meta::truncate(*m.client, {}, ino, 4, false));
    Result<OpenReply> opened = posix(EIO);
    m.engine->before_commit = [&]() -> asio::awaitable<void> {
      opened = co_await ask(m.volume->open(kRoot, ino, O_RDONLY, false));
    };
    CO_ASSERT_OK(co_await ask(m.volume->unlink(kRoot, kRootIno, "f")));
    CO_ASSERT_OK(opened);
    auto hole = co_await ask(m.volume->lseek(kRoot, ino, opened->handle, 1, SEEK_HOLE));
    CO_ASSERT_OK(hole);
    EXPECT_EQ(*hole, 4u);
    EXPECT_EQ((co_await meta::getattr(*m.client, ino)).error(), posix(ENOENT));
    EXPECT_TRUE(m.client->is_open(ino)) << "the blocks stay";
    auto read = co_await ask(m.volume->read(kRoot, ino, opened->handle, 0, 100, O_RDONLY));
    CO_ASSERT_OK(read);
    EXPECT_EQ(text_of(*read), "text");
    CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, ino, opened->handle, 0, false)));
    EXPECT_FALSE(m.client->is_open(ino));
  });
}

TEST(Races, LocksThatCouldNotBeReleasedAreReleasedLater) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto& volume = *m.volume;
    auto made = co_await make_file(m, "f");
    CO_ASSERT_OK(made);
    auto ino = made->entry.ino;
    constexpr std::uint64_t kOpenFile = 11, kProcess = 22, kOther = 33;
    LockRange all{.start = 0, .end = 99, .type = 1, .pid = 7};
    CO_ASSERT_OK(co_await ask(volume.flock(kRoot, ino, made->open.handle, kOpenFile, 1, false)));
    CO_ASSERT_OK(co_await ask(volume.setlk(kRoot, ino, made->open.handle, kProcess, all, false)));
    m.engine->failures = 2;
    CO_ASSERT_OK(co_await ask(volume.flush(kRoot, ino, made->open.handle, kProcess)));
    CO_ASSERT_OK(co_await ask(volume.release(kRoot, ino, made->open.handle, kOpenFile, true)));
    EXPECT_EQ(m.engine->failures, 0);
    auto other = co_await ask(volume.open(kRoot, ino, O_RDWR, false));
    CO_ASSERT_OK(other);
    CO_ASSERT_OK(co_await ask(volume.flock(kRoot, ino, other->handle, kOther, 1, false)));
    CO_ASSERT_OK(co_await ask(volume.setlk(kRoot, ino, other->handle, kOther, all, false)));
    CO_ASSERT_OK(co_await ask(volume.flush(kRoot, ino, other->handle, kOther)));
    CO_ASSERT_OK(co_await ask(volume.release(kRoot, ino, other->handle, kOther, true)));
  });
}

}  // namespace
}  // namespace kiseki::vfs
