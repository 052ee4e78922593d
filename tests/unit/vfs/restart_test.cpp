// A process that served the mount died; the next one meets what the kernel still holds of it.
#include <set>

#include "mounted.hpp"

namespace kiseki::vfs {
namespace {

/// The process dies: what it had open is known to the kernel alone.
asio::awaitable<void> die_and_come_back(Mounted& m) {
  auto held = co_await m.engine->scan_locks(SessionId{1});
  CO_ASSERT_OK(held);
  m.volume.reset();
  VolumeOptions options;
  options.resumed = std::move(held->sustained);
  m.volume = std::make_unique<Volume>(*m.client, *m.data, co_await asio::this_coro::executor, options);
}

Async<CreateReply> make_file(Mounted& m, std::string name, std::string_view text) {
  CO_TRY(auto made, co_await ask(m.volume->create(kRoot, kRootIno, name, 0644, 0, O_RDWR)));
  CO_CHECK(
      co_await ask(m.volume->write(kRoot, made.entry.ino, made.open.handle, 0, bytes(text), O_RDWR, false, false)));
  CO_CHECK(co_await ask(m.volume->fsync(kRoot, made.entry.ino, made.open.handle, false)));
  co_return made;
}

Async<std::string> read_through(Mounted& m, Ino ino, HandleId handle, std::uint32_t flags = O_RDWR) {
  CO_TRY(auto reply, co_await ask(m.volume->read(kRoot, ino, handle, 0, 100, flags)));
  co_return text_of(reply);
}

TEST(Restart, AnOldDescriptorReachesItsOwnFileAndNoOther) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto old = co_await make_file(m, "old", "of old");
    CO_ASSERT_OK(old);
    co_await die_and_come_back(m);
    auto anew = co_await make_file(m, "new", "of new");
    CO_ASSERT_OK(anew);
    EXPECT_NE(old->open.handle, anew->open.handle);
    EXPECT_EQ(*co_await read_through(m, old->entry.ino, old->open.handle), "of old");
    EXPECT_EQ(*co_await read_through(m, anew->entry.ino, anew->open.handle), "of new");
    CO_ASSERT_OK(
        co_await ask(m.volume->write(kRoot, old->entry.ino, old->open.handle, 0, bytes("OF"), O_RDWR, false, false)));
    EXPECT_EQ(*co_await read_through(m, old->entry.ino, old->open.handle), "OF old");
    EXPECT_EQ(*co_await read_through(m, anew->entry.ino, anew->open.handle), "of new");
    CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, old->entry.ino, old->open.handle, 0, false)));
    CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, anew->entry.ino, anew->open.handle, 0, false)));
    EXPECT_EQ(m.volume->open_handles(), 0u);
  });
}

TEST(Restart, AHandleOfAnotherFileIsRefused) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto one = co_await make_file(m, "one", "1");
    auto two = co_await make_file(m, "two", "2");
    CO_ASSERT_OK(one);
    CO_ASSERT_OK(two);
    auto ino = one->entry.ino;
    EXPECT_EQ((co_await read_through(m, ino, two->open.handle)).error(), posix(EBADF));
    auto wrote = co_await ask(m.volume->write(kRoot, ino, two->open.handle, 0, bytes("x"), O_RDWR, false, false));
    EXPECT_EQ(wrote.error(), posix(EBADF));
    EXPECT_EQ((co_await ask(m.volume->fsync(kRoot, ino, two->open.handle, false))).error(), posix(EBADF));
    HandleId unknown{two->open.handle.value + 1000};
    EXPECT_EQ((co_await read_through(m, ino, unknown)).error(), posix(EBADF)) << "not of an earlier process";
    for (auto* made : {&*one, &*two})
      CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, made->entry.ino, made->open.handle, 0, false)));
  });
}

TEST(Restart, AWriterIsToldOnceThatBytesMayBeLost) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto writer = co_await make_file(m, "f", "text");
    CO_ASSERT_OK(writer);
    auto ino = writer->entry.ino;
    auto reader = co_await ask(m.volume->open(kRoot, ino, O_RDONLY, false));
    CO_ASSERT_OK(reader);
    co_await die_and_come_back(m);
    EXPECT_EQ((co_await ask(m.volume->fsync(kRoot, ino, writer->open.handle, false))).error(), posix(EIO));
    CO_ASSERT_OK(co_await ask(m.volume->fsync(kRoot, ino, writer->open.handle, false)));
    EXPECT_EQ(*co_await read_through(m, ino, reader->handle, O_RDONLY), "text");
    CO_ASSERT_OK(co_await ask(m.volume->flush(kRoot, ino, reader->handle, 0)));
    for (auto handle : {writer->open.handle, reader->handle})
      CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, ino, handle, 0, false)));
    EXPECT_EQ(m.volume->open_handles(), 0u);
  });
}

TEST(Restart, WhatTheKernelHasOpenOutlivesItsNameUntilTheKernelForgetsIt) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto nameless = co_await make_file(m, "nameless", "of nameless");
    auto named = co_await make_file(m, "named", "of named");
    auto asked = co_await make_file(m, "asked", "of asked");
    CO_ASSERT_OK(co_await ask(m.volume->unlink(kRoot, kRootIno, "nameless")));
    co_await die_and_come_back(m);
    EXPECT_EQ(*co_await read_through(m, asked->entry.ino, asked->open.handle), "of asked");
    CO_ASSERT_OK(co_await ask(m.volume->unlink(kRoot, kRootIno, "named")));
    CO_ASSERT_OK(co_await ask(m.volume->unlink(kRoot, kRootIno, "asked")));
    EXPECT_EQ(*co_await read_through(m, nameless->entry.ino, nameless->open.handle), "of nameless");
    EXPECT_EQ(*co_await read_through(m, named->entry.ino, named->open.handle), "of named");
    for (auto* made : {&*nameless, &*named, &*asked}) {
      CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, made->entry.ino, made->open.handle, 0, false)));
      EXPECT_TRUE((co_await meta::getattr(*m.client, made->entry.ino)).has_value()) << "others may have it open";
      m.volume->forget(made->entry.ino, 1);
    }
    co_await m.volume->destroyed();
    EXPECT_TRUE((co_await m.engine->scan_locks(SessionId{1}))->sustained.empty());
    for (auto* made : {&*nameless, &*named, &*asked})
      EXPECT_EQ((co_await meta::getattr(*m.client, made->entry.ino)).error(), posix(ENOENT));
  });
}

TEST(Restart, AListingGoesOnWhereItStood) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto dir = co_await ask(m.volume->mkdir(kRoot, kRootIno, "d", 0755, 0));
    CO_ASSERT_OK(dir);
    for (int i = 0; i < 300; ++i)
      CO_ASSERT_OK(co_await ask(m.volume->mkdir(kRoot, dir->ino, "n" + std::to_string(i), 0755, 0)));
    auto opened = co_await ask(m.volume->opendir(kRoot, dir->ino, 0));
    CO_ASSERT_OK(opened);
    std::multiset<std::string> names;
    std::uint64_t cookie = 0;
    auto list = [&](std::size_t most) -> Async<void> {
      DirSink sink = [&, most](const DirEntry& entry) mutable {
        if (most-- == 0) return false;
        names.emplace(entry.name);
        cookie = entry.cookie;
        return true;
      };
      return ask(m.volume->readdir(kRoot, dir->ino, opened->handle, cookie, true, sink));
    };
    CO_ASSERT_OK(co_await list(170));
    co_await die_and_come_back(m);
    CO_ASSERT_OK(co_await list(1000));
    EXPECT_EQ(names.size(), 302u);
    EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), 302u);
    EXPECT_EQ((co_await ask(m.volume->readdir(kRoot, kRootIno, opened->handle, 0, false, [](auto&) { return true; })))
                  .error(),
              posix(EBADF));
    CO_ASSERT_OK(co_await ask(m.volume->releasedir(kRoot, dir->ino, opened->handle)));
    EXPECT_EQ(m.volume->open_handles(), 0u);
  });
}

}  // namespace
}  // namespace kiseki::vfs
