#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <exception>
#include <functional>
#include <memory>
#include <vector>

#include "core/answer.hpp"
#include "fuse/in_flight.hpp"
#include "fuse/negotiate.hpp"
#include "fuse/op_meter.hpp"
#include "fuse/transport.hpp"

namespace kiseki::fuse {

class Worker;
class Asking;

/// What the workers of one session share. Fixed before the first of them starts.
struct SessionShared {
  vfs::Filesystem& fs;
  SessionOptions options;
  std::vector<std::unique_ptr<Worker>> workers;
  std::function<void(const Settings&)> initialised;  ///< INIT was answered; on the loop it came to
  std::function<void(std::error_code)> ended;        ///< the kernel is gone; on any loop, perhaps several times
};

/// Understands the requests of one queue, asks the file system and answers. Everything runs on its loop.
class Worker final : private RequestSink {
 public:
  Worker(SessionShared& shared, asio::io_context& loop, std::unique_ptr<Queue> queue);
  ~Worker() override;  ///< asserts that nothing is unanswered

  /// Begins to read. `agreed` is empty while INIT is still to come: then only this worker of the session may run.
  void start(std::optional<Settings> agreed);
  /// Takes no more requests.
  asio::awaitable<void> stop_reading();
  /// Once no worker of the session reads: gives up waits for locks, gives the rest `grace` to end, then cancels it, and
  /// waits for it. Nothing of this worker is pending after that.
  asio::awaitable<void> drain(std::chrono::milliseconds grace);
  /// Any thread: cancels the request of that number if it is here, soon. False: not here.
  bool interrupt(std::uint64_t unique);

 private:
  friend class Asking;
  void arrived(Delivery& delivery) override;
  void ended(std::error_code why) override;
  void serve(Delivery& delivery, const Body& body);  // worker_requests.cpp

  /// Sends what `answer` holds now, or makes a coroutine that will. `send(delivery, value)` sends a success.
  template <class T, class Send>
  void settle(Delivery& delivery, Answer<T> answer, Send send);
  template <class T, class Send>
  asio::awaitable<void> settle_later(Delivery& delivery, Async<T> work, Send send);
  void launch(Delivery& delivery, asio::awaitable<void> work);
  void finished(Delivery& delivery, std::exception_ptr failure);
  void log_bug(const Delivery& delivery, std::exception_ptr failure);

  void init(Delivery& delivery, const Init& offer);
  void interrupt_asked(Delivery& delivery, std::uint64_t unique);
  void cancel(Delivery& delivery);
  void cancel_running(bool only_lock_waits);
  bool interrupt_anywhere(std::uint64_t unique);
  void ask_again();   ///< soon, for what an INTERRUPT meant and no worker had yet
  void be_patient();  ///< looks again, later, at what was interrupted
  void lose_patience();

  // Answers; each marks the delivery answered, none recycles it.
  void send_error(Delivery& delivery, std::error_code error);
  void send_errno(Delivery& delivery, int error);
  void send_body(Delivery& delivery, std::span<const iovec> body);
  template <class T>
  void send_struct(Delivery& delivery, const T& out);
  void send_bytes(Delivery& delivery, std::span<const std::byte> bytes);
  void send_created(Delivery& delivery, const vfs::CreateReply& created);
  void send_read(Delivery& delivery, vfs::ReadReply& reply);
  void send_sized(Delivery& delivery,
                  std::string_view value);  ///< xattr: the size when limit is 0, ERANGE when too long
  void send_ioctl(Delivery& delivery, const vfs::IoctlReply& reply);

  vfs::Caller caller(const Delivery& delivery) const;
  static Ino node(const Delivery& delivery) { return Ino{delivery.request.header.nodeid}; }
  void done(Delivery& delivery, int error);  ///< answers and recycles
  void answer(Delivery& delivery, int error, std::span<const iovec> body);

  SessionShared& shared_;
  asio::io_context& loop_;
  std::unique_ptr<Queue> queue_;
  OpMeter& meter_ = OpMeter::of_process();
  InFlight in_flight_;
  asio::steady_timer idle_;      // rings when the last request in flight ends
  asio::steady_timer patience_;  // while a request runs on after an interrupt
  bool patient_ = false;
  struct Early {
    std::uint64_t unique;
    int times = 0;
  };
  std::vector<Early> early_;   // INTERRUPTs that overtook their request, or came after its answer
  asio::steady_timer asking_;  // while there are any
  std::optional<Settings> agreed_;
};

}  // namespace kiseki::fuse
