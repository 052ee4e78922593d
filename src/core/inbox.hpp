#pragma once

// Internal: how another thread gives a coroutine back to its loop. Heavy: include from .cpp files, and from headers
// that only such files include.

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <optional>

namespace kiseki::detail {

namespace asio = boost::asio;
class InboxService;

/// What other threads have finished for one loop: a list without a lock, and an eventfd that wakes the loop once for
/// all of it. `asio::post` wakes the loop while it holds the loop's lock; a loop on the same CPU then runs into that
/// lock, and every hop costs two more switches.
class Inbox {
 public:
  /// A coroutine that waits for another thread; lives in its frame. Whoever has it delivers it exactly once.
  class Letter {
   public:
    Letter() = default;
    Letter(const Letter&) = delete;

    /// Suspends the calling coroutine, whose executor is a loop's, then calls `hand_over()`, which makes this letter
    /// known to the other thread. Not cancellable.
    template <class HandOver>
    asio::awaitable<void> wait(HandOver hand_over) {
      return asio::async_initiate<const asio::use_awaitable_t<>, void()>(
          [this, hand_over = std::move(hand_over)](Handler handler) mutable {
            expect(std::move(handler));
            hand_over();
          },
          asio::use_awaitable);
    }

    /// Any thread: the coroutine goes on, on its own loop. Then this may be gone.
    void deliver();

   private:
    friend class Inbox;
    friend class InboxService;
    using Handler = asio::async_result<asio::use_awaitable_t<>, void()>::handler_type;
    void expect(Handler handler);

    std::optional<Handler> handler_;
    std::shared_ptr<Inbox> home_;
    Letter* next_ = nullptr;
  };

  /// Delivers many, waking each loop once. `letters`: anything that a range-for walks as Letter*.
  class Round {
   public:
    Round() = default;
    Round(const Round&) = delete;
    ~Round() { send(); }
    void add(Letter& letter);

   private:
    void send();
    std::shared_ptr<Inbox> to_;
    Letter *first_ = nullptr, *last_ = nullptr;
  };

  Inbox();
  ~Inbox();
  Inbox(const Inbox&) = delete;

 private:
  friend class InboxService;
  void put(Letter* first, Letter* last);
  Letter* take_all();  ///< in the order of delivery

  int wake_;
  std::atomic<Letter*> newest_{nullptr};
};

}  // namespace kiseki::detail
