#include "fuse/session.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <stdexcept>

#include "core/async.hpp"
#include "fake_kernel.hpp"
#include "refusing_filesystem.hpp"

namespace kiseki::fuse {
namespace {

using namespace test;
using namespace std::chrono_literals;

/// Answers a few requests, some at once, some later, some never by itself.
class TestFiles : public RefusingFilesystem {
 public:
  std::atomic<int> forgotten{0}, destroyed_calls{0}, running{0}, finished{0};
  std::string content = "hello";
  std::atomic<vfs::KernelCache*> cache{nullptr};

  void attached(vfs::KernelCache& kernel) override { cache = &kernel; }
  void forget(Ino, u64 lookups) override { forgotten += static_cast<int>(lookups); }

  Answer<vfs::EntryReply> lookup(Caller who, Ino, Name name) override {
    if (name == "now") return now(entry(10, who));
    if (name == "later") return later_entry(who, std::string(name), name);
    if (name == "sleeps") return sleeping();
    if (name == "throws") throw std::runtime_error("thrown before the answer");
    if (name == "throws later") return throwing();
    if (name == "odd errno") return std::error_code(4711, std::generic_category());
    return posix(ENOENT);
  }
  Answer<vfs::AttrReply> getattr(Caller who, Ino ino, std::optional<Handle>) override {
    return now(vfs::AttrReply{ino, entry(ino.value, who).attr, 1s});
  }
  Answer<vfs::ReadReply> read(Caller, Ino, Handle handle, u64, u32 size, u32) override {
    if (handle.value == 1) return read_pieces(1);
    if (handle.value == 2) return read_pieces(3000);
    vfs::ReadReply reply;  // more than was asked for
    reply.pieces.push_back({content.data(), content.size()});
    reply.pieces.push_back({content.data(), size});
    return now(std::move(reply));
  }
  Answer<u32> write(Caller, Ino, Handle handle, u64, std::span<const std::byte> data, u32, bool, bool) override {
    if (handle.value == 1) return write_later(data);
    if (handle.value == 2) return write_never();
    aligned = reinterpret_cast<std::uintptr_t>(data.data()) % 4096 == 0;
    return now(static_cast<u32>(data.size()));
  }
  Answer<std::string> getxattr(Caller, Ino, Name) override { return now(std::string("value")); }
  Answer<void> readdir(Caller, Ino, Handle handle, u64 cookie, bool, vfs::DirSink sink) override {
    if (handle.value == 1) return list_later(cookie, std::move(sink));
    list(cookie, sink);
    return fine();
  }
  Answer<void> setlk(Caller, Ino, Handle, u64, vfs::LockRange, bool wait) override {
    if (wait) return wait_for_lock();
    return fine();
  }
  Answer<void> fsync(Caller, Ino, Handle, bool) override { return slow_fsync(); }
  Answer<vfs::IoctlReply> ioctl(Caller, Ino, Handle, u32, std::span<const std::byte> in, u32) override {
    return now(vfs::IoctlReply{7, {in.begin(), in.end()}});
  }
  Answer<u64> copy_range(Caller, Ino, Handle, u64, Ino, Handle, u64, u64 length) override { return now(length); }
  asio::awaitable<void> destroyed() override {
    ++destroyed_calls;
    EXPECT_EQ(running, 0);
    co_return;
  }

  std::atomic<bool> aligned{false};
  Bytes written() {
    std::lock_guard lock(mutex_);
    return written_;
  }

 private:
  static vfs::EntryReply entry(u64 ino, Caller who) {
    vfs::Attr attr;
    attr.uid = who.uid;
    attr.gid = who.gid;
    attr.nlink = 1;
    return {Ino{ino}, attr, 1s, 1s};
  }
  Async<vfs::EntryReply> later_entry(Caller who, std::string copy, Name view) {
    co_await sleep_for(20ms);
    EXPECT_EQ(view, copy);  // the request's bytes stay
    co_return entry(11, who);
  }
  Async<vfs::EntryReply> sleeping() {
    ++running;
    struct Leave {
      std::atomic<int>& count;
      ~Leave() { --count; }
    } leave{running};
    co_await sleep_for(1h);
    co_return posix(EIO);
  }
  Async<vfs::EntryReply> throwing() {
    co_await sleep_for(1ms);
    throw std::runtime_error("thrown later");
  }
  Answer<vfs::ReadReply> read_pieces(std::size_t count) {
    auto memory = std::make_shared<std::string>(content);
    vfs::ReadReply reply;
    for (std::size_t i = 0; i < count; ++i) reply.pieces.push_back({memory->data(), 2});
    reply.owner = memory;
    return now(std::move(reply));
  }
  Async<u32> write_later(std::span<const std::byte> data) {
    co_await sleep_for(20ms);
    std::lock_guard lock(mutex_);
    written_.assign(data.begin(), data.end());
    co_return static_cast<u32>(data.size());
  }
  Async<u32> write_never() {
    CO_TRY(auto never, co_await sleeping());
    co_return static_cast<u32>(never.ino.value);
  }
  static void list(u64 cookie, const vfs::DirSink& sink) {
    for (u64 i = cookie; i < 1000; ++i) {
      auto name = "entry" + std::to_string(i);
      if (!sink({Ino{i + 1}, name, meta::FileType::file, i + 1})) break;
    }
  }
  Async<void> list_later(u64 cookie, vfs::DirSink sink) {
    co_await sleep_for(5ms);
    list(cookie, sink);
    co_return Result<void>{};
  }
  Async<void> wait_for_lock() {
    ++running;
    struct Leave {
      std::atomic<int>& count;
      ~Leave() { --count; }
    } leave{running};
    co_await sleep_for(1h);
    co_return Result<void>{};
  }
  Async<void> slow_fsync() {
    ++running;
    co_await sleep_for(200ms);
    --running;
    ++finished;
    co_return Result<void>{};
  }

  std::mutex mutex_;  // guards written_
  Bytes written_;
};

void wait_until(const std::atomic<int>& value, int wanted) {
  for (int i = 0; i < 10'000 && value != wanted; ++i) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(value, wanted);
}

TEST(Session, GreetsAndRemembersWhatWasAgreed) {
  TestFiles files;
  FakeKernel kernel(files, {}, 2, false);
  EXPECT_FALSE(kernel.session().settings());
  auto reply = kernel.init();
  EXPECT_EQ(reply.error, 0);
  auto out = reply.as<abi::InitOut>();
  EXPECT_EQ(out.major, 7u);
  EXPECT_EQ(out.max_write, 1u << 20);
  EXPECT_EQ(kernel.ask(FUSE_LOOKUP, 1, "now\0"sv).error, 0);
  ASSERT_TRUE(kernel.session().settings());
  EXPECT_EQ(kernel.session().settings()->minor, 45u);
  EXPECT_NE(files.cache.load(), nullptr);
}

TEST(Session, RefusesAnAncientKernel) {
  TestFiles files;
  FakeKernel kernel(files, {}, 1, false);
  kernel.send(message(FUSE_INIT, 2, 0, fuse_init_in{7, 8, 0, 0, 0, {}}));
  EXPECT_EQ(kernel.receive().error, EPROTO);
  EXPECT_EQ(kernel.end().error(), posix(EPROTO));
  EXPECT_EQ(files.destroyed_calls, 1);
}

TEST(Session, AnswersInlineAndLater) {
  TestFiles files;
  FakeKernel kernel(files);
  for (auto [name, ino] : {std::pair("now\0"sv, 10u), std::pair("later\0"sv, 11u)}) {
    auto reply = kernel.ask(FUSE_LOOKUP, 1, name);
    EXPECT_EQ(reply.error, 0);
    EXPECT_EQ(reply.as<fuse_entry_out>().nodeid, ino);
    EXPECT_EQ(reply.as<fuse_entry_out>().attr.uid, 1000u);
  }
  EXPECT_EQ(kernel.ask(FUSE_LOOKUP, 1, "absent\0"sv).error, ENOENT);
  EXPECT_EQ(kernel.ask(FUSE_LOOKUP, 1, "odd errno\0"sv).error, EIO);  // the kernel takes only 1..511
}

TEST(Session, ManyAtOnce) {
  TestFiles files;
  FakeKernel kernel(files);
  std::uint64_t sum = 0;
  for (int i = 0; i < 100; ++i) sum += kernel.tell(FUSE_LOOKUP, 1, i % 2 ? "later\0"sv : "now\0"sv);
  for (int i = 0; i < 100; ++i) sum -= kernel.receive().unique;
  EXPECT_EQ(sum, 0u);
}

TEST(Session, BadRequestsGetErrnos) {
  TestFiles files;
  FakeKernel kernel(files);
  EXPECT_EQ(kernel.ask(FUSE_LOOKUP, 1, "no end"sv).error, EINVAL);
  EXPECT_EQ(kernel.ask(FUSE_BMAP, 1, fuse_bmap_in{}).error, ENOSYS);
  EXPECT_EQ(kernel.ask(4711, 1).error, ENOSYS);
  kernel.send(Bytes(7));        // nobody to answer
  kernel.tell(FUSE_FORGET, 5);  // cut short, and wants no answer
  EXPECT_TRUE(kernel.silent(20));
  EXPECT_EQ(kernel.ask(FUSE_LOOKUP, 1, "now\0"sv).error, 0);
}

TEST(Session, ForgetsWithoutAnswer) {
  TestFiles files;
  FakeKernel kernel(files);
  kernel.tell(FUSE_FORGET, 5, fuse_forget_in{2});
  kernel.tell(FUSE_BATCH_FORGET, 0, fuse_batch_forget_in{2, 0}, fuse_forget_one{7, 1}, fuse_forget_one{8, 3});
  wait_until(files.forgotten, 6);
  EXPECT_TRUE(kernel.silent(5));
}

TEST(Session, ReadsInPiecesAndNeverTooMuch) {
  TestFiles files;
  FakeKernel kernel(files);
  EXPECT_EQ(kernel.ask(FUSE_READ, 10, fuse_read_in{1, 0, 4096, 0, 0, 0, 0}).body.size(), 2u);
  EXPECT_EQ(kernel.ask(FUSE_READ, 10, fuse_read_in{2, 0, 1 << 20, 0, 0, 0, 0}).body.size(), 6000u);
  EXPECT_EQ(kernel.ask(FUSE_READ, 10, fuse_read_in{3, 0, 7, 0, 0, 0, 0}).body.size(), 7u);
}

TEST(Session, WritesComeWhole) {
  TestFiles files;
  SessionOptions options;
  options.write_buffers = 2;
  FakeKernel kernel(files, options);
  std::string big(100'000, 'b');
  EXPECT_EQ(kernel.ask(FUSE_WRITE, 10, fuse_write_in{0, 0, 100'000, 0, 0, 0, 0}, std::string_view(big))
                .as<fuse_write_out>()
                .size,
            100'000u);
  EXPECT_TRUE(files.aligned);
  for (std::string_view data : {std::string_view("small"), std::string_view(big)}) {
    fuse_write_in in{1, 0, static_cast<std::uint32_t>(data.size()), 0, 0, 0, 0};
    EXPECT_EQ(kernel.ask(FUSE_WRITE, 10, in, data).as<fuse_write_out>().size, data.size());
    EXPECT_EQ(std::memcmp(files.written().data(), data.data(), data.size()), 0);
  }
  for (int i = 0; i < 20; ++i)
    kernel.tell(FUSE_WRITE, 10, fuse_write_in{1, 0, 100'000, 0, 0, 0, 0}, std::string_view(big));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(kernel.receive().error, 0);  // more than there are buffers
}

TEST(Session, BoundOfWritesInHand) {
  TestFiles files;
  SessionOptions options;
  options.write_bytes = 150'000;
  FakeKernel kernel(files, options, 1);
  std::string big(100'000, 'b');
  for (int i = 0; i < 20; ++i)
    kernel.tell(FUSE_WRITE, 10, fuse_write_in{1, 0, 100'000, 0, 0, 0, 0}, std::string_view(big));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(kernel.receive().error, 0);
}

TEST(Session, WritersThatWaitLetOthersIn) {
  TestFiles files;
  SessionOptions options;
  options.write_buffers = 2;
  options.interrupt_patience = std::chrono::milliseconds(5);
  FakeKernel kernel(files, options, 1);
  std::string big(100'000, 'b');
  std::vector<std::uint64_t> writers;
  for (int i = 0; i < 16; ++i)
    writers.push_back(kernel.tell(FUSE_WRITE, 10, fuse_write_in{2, 0, 100'000, 0, 0, 0, 0}, std::string_view(big)));
  wait_until(files.running, 16);
  EXPECT_EQ(kernel.ask(FUSE_GETATTR, 10, fuse_getattr_in{}).error, 0);
  kernel.tell(FUSE_FORGET, 5, fuse_forget_in{2});
  wait_until(files.forgotten, 2);
  kernel.interrupt(writers[3]);
  auto killed = kernel.receive();
  EXPECT_EQ(killed.unique, writers[3]);
  EXPECT_EQ(killed.error, EINTR);
  kernel.session().set_grace(5ms);
}

TEST(Session, BoundOfUnansweredRequests) {
  TestFiles files;
  SessionOptions options;
  options.requests = 4;
  FakeKernel kernel(files, options, 1);
  for (int i = 0; i < 50; ++i) kernel.tell(FUSE_LOOKUP, 1, "later\0"sv);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(kernel.receive().error, 0);
}

TEST(Session, LockWaitersDoNotFillTheBound) {
  TestFiles files;
  SessionOptions options;
  options.requests = 4;
  FakeKernel kernel(files, options, 1);
  for (int i = 0; i < 20; ++i) kernel.tell(FUSE_SETLKW, 10, fuse_lk_in{5, 99, {10, 20, 1, 4242}, 0, 0});
  EXPECT_EQ(kernel.ask(FUSE_SETLK, 10, fuse_lk_in{5, 99, {10, 20, 2, 4242}, 0, 0}).error, 0);
  EXPECT_EQ(files.running, 20);
  kernel.unmount();  // and the end does not wait for them
  EXPECT_TRUE(kernel.end());
  EXPECT_EQ(files.running, 0);
}

TEST(Session, Xattrs) {
  TestFiles files;
  FakeKernel kernel(files);
  EXPECT_EQ(kernel.ask(FUSE_GETXATTR, 10, fuse_getxattr_in{0, 0}, "k\0"sv).as<fuse_getxattr_out>().size, 5u);
  EXPECT_EQ(kernel.ask(FUSE_GETXATTR, 10, fuse_getxattr_in{4, 0}, "k\0"sv).error, ERANGE);
  EXPECT_EQ(kernel.ask(FUSE_GETXATTR, 10, fuse_getxattr_in{5, 0}, "k\0"sv).body.size(), 5u);
}

TEST(Session, SwitchedOffMeansENOSYS) {
  TestFiles files;
  SessionOptions options;
  options.xattr = options.ioctl = false;
  FakeKernel kernel(files, options);
  EXPECT_EQ(kernel.ask(FUSE_GETXATTR, 10, fuse_getxattr_in{0, 0}, "k\0"sv).error, ENOSYS);
  EXPECT_EQ(kernel.ask(FUSE_IOCTL, 10, fuse_ioctl_in{5, 0, 1, 0, 0, 0}).error, ENOSYS);
}

TEST(Session, IoctlAndCopies) {
  TestFiles files;
  FakeKernel kernel(files);
  auto reply = kernel.ask(FUSE_IOCTL, 10, fuse_ioctl_in{5, 0, 1, 0, 4, 3}, "abcd"sv);
  EXPECT_EQ(reply.as<fuse_ioctl_out>().result, 7);
  EXPECT_EQ(reply.body.size(), sizeof(fuse_ioctl_out) + 3);
  fuse_copy_file_range_in copy{5, 0, 11, 6, 0, std::uint64_t{1} << 40, 0};
  EXPECT_EQ(kernel.ask(FUSE_COPY_FILE_RANGE, 10, copy).as<fuse_write_out>().size, 0xFFFFF000u);
  EXPECT_EQ(kernel.ask(abi::kCopyFileRange64, 10, copy).as<abi::CopyFileRangeOut>().bytes_copied,
            std::uint64_t{1} << 40);
}

TEST(Session, ListsInTurns) {
  TestFiles files;
  FakeKernel kernel(files);
  for (std::uint64_t handle : {0u, 1u}) {
    std::uint64_t cookie = 0, entries = 0;
    while (true) {
      auto reply = kernel.ask(FUSE_READDIR, 1, fuse_read_in{handle, cookie, 4096, 0, 0, 0, 0});
      if (reply.body.empty()) break;
      for (std::size_t at = 0; at < reply.body.size(); ++entries) {
        fuse_dirent one;
        std::memcpy(&one, reply.body.data() + at, sizeof one);
        cookie = one.off;
        at += FUSE_REC_ALIGN(sizeof one + one.namelen);
      }
    }
    EXPECT_EQ(entries, 1000u);
  }
}

TEST(Session, ExceptionsBecomeEIO) {
  TestFiles files;
  FakeKernel kernel(files);
  EXPECT_EQ(kernel.ask(FUSE_LOOKUP, 1, "throws\0"sv).error, EIO);
  EXPECT_EQ(kernel.ask(FUSE_LOOKUP, 1, "throws later\0"sv).error, EIO);
  EXPECT_EQ(kernel.ask(FUSE_LOOKUP, 1, "now\0"sv).error, 0);
}

TEST(Session, AnInterruptedRequestThatEndsSoonIsAnsweredAsEver) {
  TestFiles files;
  FakeKernel kernel(files);
  for (int i = 0; i < 3; ++i) {
    auto unique = kernel.tell(FUSE_FSYNC, 10, fuse_fsync_in{5, 0, 0});
    kernel.interrupt(unique);
    Reply reply;
    while ((reply = kernel.receive()).unique != unique) {
    }
    EXPECT_EQ(reply.error, 0) << "a signal is no reason to fail what works";
  }
}

TEST(Session, InterruptEndsARequestOfAnyLoopThatWouldNotEnd) {
  TestFiles files;
  SessionOptions options;
  options.interrupt_patience = std::chrono::milliseconds(5);
  FakeKernel kernel(files, options);
  for (int i = 0; i < 20; ++i) {
    auto unique = kernel.tell(FUSE_LOOKUP, 1, "sleeps\0"sv);
    wait_until(files.running, 1);
    kernel.interrupt(unique);
    auto reply = kernel.receive();
    EXPECT_EQ(reply.unique, unique);
    EXPECT_EQ(reply.error, EINTR);
    wait_until(files.running, 0);
  }
}

TEST(Session, AnInterruptThatComesBeforeItsRequestIsRemembered) {
  TestFiles files;
  SessionOptions options;
  options.interrupt_patience = std::chrono::milliseconds(5);
  FakeKernel kernel(files, options);
  auto before = kernel.ask(FUSE_LOOKUP, 1, "now\0"sv).unique;
  for (int i = 0; i < 5; ++i) {
    kernel.interrupt(before + 2);
    auto unique = kernel.tell(FUSE_LOOKUP, 1, "sleeps\0"sv);
    ASSERT_EQ(unique, before + 2);
    auto reply = kernel.receive();
    EXPECT_EQ(reply.unique, unique);
    EXPECT_EQ(reply.error, EINTR);
    before = unique;
  }
}

TEST(Session, AnInterruptAfterTheAnswerIsForgotten) {
  TestFiles files;
  FakeKernel kernel(files);
  for (std::uint64_t i = 0; i < 2000; ++i) kernel.interrupt(4000 + 2 * i);
  EXPECT_EQ(kernel.ask(FUSE_LOOKUP, 1, "now\0"sv).error, 0);
  EXPECT_TRUE(kernel.silent(20));
}

TEST(Session, EndsAfterWhatRuns) {
  TestFiles files;
  FakeKernel kernel(files);
  for (int i = 0; i < 10; ++i) kernel.tell(FUSE_FSYNC, 10, fuse_fsync_in{5, 0, 0});
  wait_until(files.running, 10);
  kernel.unmount();
  EXPECT_TRUE(kernel.end());
  EXPECT_EQ(files.finished, 10);
  EXPECT_EQ(files.destroyed_calls, 1);
}

TEST(Session, CancelsWhatDoesNotEndInTime) {
  TestFiles files;
  FakeKernel kernel(files);
  kernel.session().set_grace(50ms);
  kernel.tell(FUSE_LOOKUP, 1, "sleeps\0"sv);
  wait_until(files.running, 1);
  kernel.unmount();
  EXPECT_TRUE(kernel.end());
  EXPECT_EQ(files.destroyed_calls, 1);
}

TEST(Session, StopEndsItThoughTheKernelStays) {
  TestFiles files;
  FakeKernel kernel(files);
  kernel.ask(FUSE_LOOKUP, 1, "now\0"sv);
  kernel.session().stop();
  EXPECT_TRUE(kernel.end());
  EXPECT_EQ(files.destroyed_calls, 1);
}

TEST(Session, StopBeforeTheGreeting) {
  TestFiles files;
  FakeKernel kernel(files, {}, 2, false);
  kernel.session().stop();
  EXPECT_TRUE(kernel.end());
}

TEST(Session, NotifiesTheKernel) {
  TestFiles files;
  FakeKernel kernel(files);
  kernel.ask(FUSE_LOOKUP, 1, "now\0"sv);
  files.cache.load()->forget_entry(Ino{1}, "name");
  auto entry = kernel.receive();
  EXPECT_EQ(-entry.error, FUSE_NOTIFY_INVAL_ENTRY);
  EXPECT_EQ(entry.unique, 0u);
  EXPECT_EQ(entry.as<fuse_notify_inval_entry_out>().namelen, 4u);
  EXPECT_EQ(entry.body.size(), sizeof(fuse_notify_inval_entry_out) + 5);
  files.cache.load()->forget_data(Ino{9}, 4096, 0);
  auto data = kernel.receive();
  EXPECT_EQ(-data.error, FUSE_NOTIFY_INVAL_INODE);
  EXPECT_EQ(data.as<fuse_notify_inval_inode_out>().off, 4096);
}

TEST(Session, TakesOverAGreetedDescriptor) {
  TestFiles files;
  Runtime runtime({.loops = 2, .pin = false});
  runtime.start();
  Session session(runtime, files, {});
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  std::atomic<int> ready{0};
  auto served = std::async(std::launch::async, [&] {
    return runtime.wait(session.serve(UniqueFd(ends[1]), Settings{45, 1u << 20, FUSE_INIT_EXT}, [&] { ++ready; }));
  });
  auto bytes = message(FUSE_LOOKUP, 8, 1, "now\0"sv);
  ASSERT_GT(::write(ends[0], bytes.data(), bytes.size()), 0);
  Bytes answer(4096);
  EXPECT_EQ(::read(ends[0], answer.data(), answer.size()),
            static_cast<ssize_t>(sizeof(fuse_out_header) + sizeof(fuse_entry_out)));
  ::close(ends[0]);
  EXPECT_TRUE(served.get());
  EXPECT_EQ(ready, 1) << "another loop may have answered before this one said so";
}

}  // namespace
}  // namespace kiseki::fuse
