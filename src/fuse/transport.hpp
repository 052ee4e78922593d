#pragma once

#include <sys/uio.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <system_error>

#include "fuse/decode.hpp"
#include "fuse/encode.hpp"

/// How requests come and answers go, so that /dev/fuse and FUSE over io_uring can stand behind the same session.
namespace kiseki::fuse {

/// One request in hand, from its arrival until it is recycled. Belongs to a queue, and to that queue's loop alone.
class Delivery {
 public:
  virtual ~Delivery() = default;
  RawRequest request;  ///< its bytes stay where they are until recycled

  // For the worker, while the request is unanswered.
  std::chrono::steady_clock::time_point came;
  DirWriter listing;                 ///< what a READDIR has gathered
  asio::cancellation_signal cancel;  ///< terminal: ends the coroutine that answers
  Delivery* next = nullptr;          ///< chain of the in-flight table
  std::uint32_t limit = 0;           ///< bytes the kernel has room for
  bool interrupted = false;          ///< the application was hit by a signal
  bool was_patient = false;          ///< and a round of patience has passed since
  bool waits_for_lock = false;       ///< may take for ever; given up at once when the kernel is gone
  bool answered = false;
};

/// Who gets the requests of a queue.
class RequestSink {
 public:
  virtual ~RequestSink() = default;
  /// Answers now (send and recycle), or keeps the delivery and does so later, on the same loop.
  virtual void arrived(Delivery& delivery) = 0;
  /// Nothing more will come. ENODEV: unmounted; ECONNABORTED: cut off; else the device failed.
  virtual void ended(std::error_code why) = 0;
};

/// One loop's end of the connection to the kernel. All members run on that loop.
class Queue {
 public:
  virtual ~Queue() = default;
  virtual void start(RequestSink& sink) = 0;
  /// Sends an answer: `error` is 0 or a positive errno (then `body` is left out). Answers to requests the kernel gave
  /// up vanish.
  virtual void send(Delivery& delivery, int error, std::span<const iovec> body) = 0;
  /// Memory of at least `bytes` to build the answer in; it lives as long as the delivery is in hand.
  virtual std::span<std::byte> space(Delivery& delivery, std::size_t bytes) = 0;
  /// The delivery may stay unanswered for long (a lock): it no longer counts against the queue's bound.
  virtual void set_aside(Delivery& delivery) = 0;
  /// The delivery was answered, or needs no answer; it may be reused at once.
  virtual void recycle(Delivery& delivery) = 0;
  /// Takes no more requests; returns when no handler of the queue is pending. The sink hears nothing more.
  virtual asio::awaitable<void> close() = 0;
};

}  // namespace kiseki::fuse
