#include "core/inbox.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <system_error>
#include <utility>

#include "core/guard.hpp"

namespace kiseki::detail {

/// The loop's end of its inbox. Everything but `shutdown` runs on the loop; it waits for the eventfd only while letters
/// are expected, so that a loop with nothing left to do ends.
class InboxService final : public asio::execution_context::service {
 public:
  static asio::execution_context::id id;

  explicit InboxService(asio::execution_context& context)
      : asio::execution_context::service(context),
        loop_(static_cast<asio::io_context&>(context)),
        box_(std::make_shared<Inbox>()),
        wake_(std::in_place, loop_, box_->wake_) {}

  std::shared_ptr<Inbox> expect() {
    ++expected_;
    if (!armed_) arm();
    return box_;
  }

 private:
  void arm() {
    armed_ = true;
    wake_->async_wait(asio::posix::stream_descriptor::wait_read, [this](boost::system::error_code stopped) {
      armed_ = false;
      if (!stopped) open();
    });
  }

  void open() {
    std::uint64_t rings = 0;
    if (::read(box_->wake_, &rings, sizeof rings) < 0 && errno != EAGAIN) return;
    auto* last = &ready_;
    while (*last) last = &(*last)->next_;
    *last = box_->take_all();
    hand_out();
  }

  void hand_out() {
    auto rest = Guard([this] {  // also when a coroutine's end threw
      if (ready_) asio::post(loop_, [this] { hand_out(); });
      if (expected_ > 0 && !armed_) arm();
    });
    while (ready_) {
      auto* letter = std::exchange(ready_, ready_->next_);
      --expected_;
      auto handler = *std::exchange(letter->handler_, std::nullopt);
      std::move(handler)();
    }
  }

  /// The loop is destroyed: coroutines whose letters are here go with it.
  void shutdown() override {
    wake_->release();
    wake_.reset();
    for (auto* letter : {std::exchange(ready_, nullptr), box_->take_all()}) {
      while (letter) {
        auto* gone = std::exchange(letter, letter->next_);
        auto handler = std::exchange(gone->handler_, std::nullopt);
      }
    }
  }

  asio::io_context& loop_;
  std::shared_ptr<Inbox> box_;
  std::optional<asio::posix::stream_descriptor> wake_;
  Inbox::Letter* ready_ = nullptr;
  std::size_t expected_ = 0;
  bool armed_ = false;
};

asio::execution_context::id InboxService::id;

Inbox::Inbox() : wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (wake_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

Inbox::~Inbox() { ::close(wake_); }

void Inbox::put(Letter* first, Letter* last) {
  auto* before = newest_.load(std::memory_order_relaxed);
  do {
    first->next_ = before;
  } while (!newest_.compare_exchange_weak(before, last, std::memory_order_release, std::memory_order_relaxed));
  if (before) return;  // whoever put that wakes the loop
  std::uint64_t ring = 1;
  while (::write(wake_, &ring, sizeof ring) < 0 && errno == EINTR) {
  }
}

Inbox::Letter* Inbox::take_all() {
  auto* newest = newest_.exchange(nullptr, std::memory_order_acquire);
  Letter* oldest = nullptr;
  while (newest) {
    auto* next = std::exchange(newest->next_, oldest);
    oldest = std::exchange(newest, next);
  }
  return oldest;
}

void Inbox::Letter::expect(Handler handler) {
  auto& context = asio::query(handler.get_executor(), asio::execution::context);
  home_ = asio::use_service<InboxService>(context).expect();
  handler_.emplace(std::move(handler));
}

void Inbox::Letter::deliver() {
  auto home = std::move(home_);  // the loop, and with it the frame we live in, may be gone before `put` returns
  home->put(this, this);
}

void Inbox::Round::add(Letter& letter) {
  if (to_ && to_ != letter.home_) send();
  if (!to_) to_ = letter.home_;
  letter.home_.reset();
  letter.next_ = std::exchange(last_, &letter);
  if (!first_) first_ = &letter;
}

void Inbox::Round::send() {
  auto to = std::exchange(to_, nullptr);
  if (to) to->put(std::exchange(first_, nullptr), std::exchange(last_, nullptr));
}

}  // namespace kiseki::detail
