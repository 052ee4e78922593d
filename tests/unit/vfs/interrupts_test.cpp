// Requests that a signal of their caller interrupts, at the moments that matter: what they had done by then is neither
// undone nor left to nobody.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>

#include "core/async.hpp"
#include "mounted.hpp"

namespace kiseki::vfs {
namespace {

constexpr std::uint32_t kExclusive = 1, kUnlock = 2;
constexpr LockRange kWhole{.start = 0, .end = 99, .type = kExclusive, .pid = 7};

/// A request as the device runs it: INTERRUPT cancels its coroutine.
class Request {
 public:
  explicit Request(asio::any_io_executor home) : home_(std::move(home)) {}
  void start(Answer<void> answer) {  ///< and runs it until it waits
    auto finish = [this](std::exception_ptr thrown, Result<void> result) {
      result_ = thrown ? Result<void>(posix(EINTR)) : result;
      ended_.notify_all();
    };
    asio::co_spawn(home_, ask(std::move(answer)), asio::bind_cancellation_slot(cancel_.slot(), finish));
  }
  bool answered() const { return result_.has_value(); }
  Async<void> answer() {
    for (auto ticket = ended_.ticket(); !result_; ticket = ended_.ticket()) co_await ended_.wait(ticket);
    co_return *result_;
  }
  /// A step between others of this request: the signal comes while it waits for something that goes on.
  std::function<asio::awaitable<void>()> met_by_a_signal() {
    return [this]() -> asio::awaitable<void> {
      asio::post(home_, [this] { cancel_.emit(asio::cancellation_type::terminal); });
      co_await asio::post(home_, asio::use_awaitable);
    };
  }

 private:
  asio::any_io_executor home_;
  asio::cancellation_signal cancel_;
  std::optional<Result<void>> result_;
  Signal ended_;
};

/// A file that two processes have open.
struct Shared {
  Ino ino;
  HandleId ours, theirs;
};
constexpr std::uint64_t kWe = 11, kThey = 22;

Async<Shared> shared_file(Mounted& m) {
  CO_TRY(auto made, co_await ask(m.volume->create(kRoot, kRootIno, "f", 0644, 0, O_RDWR)));
  CO_TRY(auto other, co_await ask(m.volume->open(kRoot, made.entry.ino, O_RDWR, false)));
  co_return Shared{made.entry.ino, made.open.handle, other.handle};
}

Async<void> close_both(Mounted& m, Shared file) {
  CO_CHECK(co_await ask(m.volume->release(kRoot, file.ino, file.ours, kWe, true)));
  co_return co_await ask(m.volume->release(kRoot, file.ino, file.theirs, kThey, true));
}

Async<std::uint32_t> write_ours(Mounted& m, Shared file) {
  return ask(m.volume->write(kRoot, file.ino, file.ours, 0, bytes("text"), O_RDWR, false, false));
}

TEST(Interrupts, RecordLocksOfACloseThatIsInterruptedGoWithTheOpenFile) {
  with_volume([](Mounted& m) -> asio::awaitable<void> {
    auto file = co_await shared_file(m);
    CO_ASSERT_OK(file);
    CO_ASSERT_OK(co_await ask(m.volume->setlk(kRoot, file->ino, file->ours, kWe, kWhole, false)));
    CO_ASSERT_OK(co_await write_ours(m, *file));
    Request closing(co_await asio::this_coro::executor);
    m.engine->before_commit = closing.met_by_a_signal();
    closing.start(m.volume->flush(kRoot, file->ino, file->ours, kWe));
    EXPECT_EQ((co_await closing.answer()).error(), posix(EINTR));
    EXPECT_TRUE(m.data->dirty(file->ino));
    auto busy = co_await ask(m.volume->setlk(kRoot, file->ino, file->theirs, kThey, kWhole, false));
    EXPECT_EQ(busy.error(), posix(EAGAIN)) << "the close got no further than the data";
    CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, file->ino, file->ours, 0, false)));
    CO_ASSERT_OK(co_await ask(m.volume->setlk(kRoot, file->ino, file->theirs, kThey, kWhole, false)));
    CO_ASSERT_OK(co_await ask(m.volume->release(kRoot, file->ino, file->theirs, kThey, false)));
  });
}

/// What one of two processes asks for, by flock or by fcntl.
Answer<void> lock(Mounted& m, bool flock, Ino ino, HandleId handle, std::uint64_t owner, std::uint32_t type) {
  if (flock) return m.volume->flock(kRoot, ino, handle, owner, type, true);
  auto range = kWhole;
  range.type = type;
  return m.volume->setlk(kRoot, ino, handle, owner, range, true);
}

TEST(Interrupts, ALockThatIsGrantedAsTheSignalComesIsAnsweredAsGranted) {
  for (bool flock : {true, false}) {
    with_volume([flock](Mounted& m) -> asio::awaitable<void> {
      auto file = co_await shared_file(m);
      CO_ASSERT_OK(file);
      CO_ASSERT_OK(co_await ask(lock(m, flock, file->ino, file->theirs, kThey, kExclusive)));
      m.engine->late = true;
      Request waiting(co_await asio::this_coro::executor);
      waiting.start(lock(m, flock, file->ino, file->ours, kWe, kExclusive));
      EXPECT_FALSE(waiting.answered());
      CO_ASSERT_OK(co_await ask(lock(m, flock, file->ino, file->theirs, kThey, kUnlock)));
      m.engine->after_commit = waiting.met_by_a_signal();
      CO_ASSERT_OK(co_await waiting.answer());
      EXPECT_FALSE(m.engine->after_commit);
      CO_ASSERT_OK(co_await close_both(m, *file));
    });
  }
}

TEST(Interrupts, WhoLetsGoOfALockLetsGo) {
  for (bool flock : {true, false}) {
    with_volume([flock](Mounted& m) -> asio::awaitable<void> {
      auto file = co_await shared_file(m);
      CO_ASSERT_OK(file);
      CO_ASSERT_OK(co_await ask(lock(m, flock, file->ino, file->ours, kWe, kExclusive)));
      CO_ASSERT_OK(co_await write_ours(m, *file));
      Request letting_go(co_await asio::this_coro::executor);
      m.engine->before_commit = letting_go.met_by_a_signal();
      letting_go.start(lock(m, flock, file->ino, file->ours, kWe, kUnlock));
      CO_ASSERT_OK(co_await letting_go.answer());
      EXPECT_FALSE(m.engine->before_commit);
      EXPECT_FALSE(m.data->dirty(file->ino)) << "what was written under it is there for the next";
      CO_ASSERT_OK(co_await ask(lock(m, flock, file->ino, file->theirs, kThey, kExclusive)));
      CO_ASSERT_OK(co_await close_both(m, *file));
    });
  }
}

}  // namespace
}  // namespace kiseki::vfs
