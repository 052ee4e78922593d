#include "fuse/worker.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <cassert>
#include <utility>

#include "core/log.hpp"

namespace kiseki::fuse {

namespace {

// The kernel sends INTERRUPT as soon as it has copied the request, perhaps to another loop that has yet to run: there
// it is found moments later, or it never will be, because it was answered.
constexpr auto kAskAgain = std::chrono::milliseconds(20);
constexpr int kAskTimes = 25;
constexpr std::size_t kMostEarly = 1024;

}  // namespace

Worker::Worker(SessionShared& shared, asio::io_context& loop, std::unique_ptr<Queue> queue)
    : shared_(shared), loop_(loop), queue_(std::move(queue)), idle_(loop), patience_(loop), asking_(loop) {}

Worker::~Worker() { assert(in_flight_.count() == 0); }

void Worker::start(std::optional<Settings> agreed) {
  agreed_ = agreed;
  queue_->start(*this);
}

asio::awaitable<void> Worker::stop_reading() { return queue_->close(); }

asio::awaitable<void> Worker::drain(std::chrono::milliseconds grace) {
  cancel_running(true);
  patience_.cancel();
  asking_.cancel();
  idle_.expires_after(grace);
  while (in_flight_.count() > 0) {
    auto [woken] = co_await idle_.async_wait(asio::as_tuple(asio::use_awaitable));
    if (woken) continue;  // by finished(); else the grace is over
    log::warn("fuse.drain.cancel", {{"requests", in_flight_.count()}});
    idle_.expires_at(std::chrono::steady_clock::time_point::max());
    cancel_running(false);
  }
}

void Worker::cancel_running(bool only_lock_waits) {
  std::vector<std::uint64_t> running;
  in_flight_.each([&](Delivery& one) {
    if (one.waits_for_lock || !only_lock_waits) running.push_back(one.request.header.unique);
  });
  for (auto unique : running) {  // cancelling one may end others
    if (auto* still = in_flight_.find(unique)) cancel(*still);
  }
}

bool Worker::interrupt(std::uint64_t unique) {
  if (!in_flight_.has(unique)) return false;
  asio::post(loop_, [this, unique] {
    auto* delivery = in_flight_.find(unique);
    if (delivery == nullptr) return;
    delivery->interrupted = true;
    if (delivery->waits_for_lock) return cancel(*delivery);
    be_patient();
  });
  return true;
}

void Worker::be_patient() {
  if (std::exchange(patient_, true)) return;
  patience_.expires_after(shared_.options.interrupt_patience);
  patience_.async_wait([this](boost::system::error_code cancelled) {
    if (cancelled) return;  // perhaps the worker is gone
    patient_ = false;
    lose_patience();
  });
}

void Worker::lose_patience() {
  std::vector<std::uint64_t> overdue;
  bool more = false;
  in_flight_.each([&](Delivery& one) {
    if (!one.interrupted) return;
    if (one.was_patient) overdue.push_back(one.request.header.unique);
    more = one.was_patient = true;
  });
  for (auto unique : overdue) {  // cancelling one may end others
    if (auto* still = in_flight_.find(unique)) cancel(*still);
  }
  if (more) be_patient();
}

void Worker::cancel(Delivery& delivery) { delivery.cancel.emit(asio::cancellation_type::terminal); }

void Worker::arrived(Delivery& delivery) {
  delivery.came = std::chrono::steady_clock::now();
  auto body = decode(delivery.request, agreed_ ? agreed_->dialect() : Dialect{});
  auto opcode = delivery.request.header.opcode;
  if (!body) {
    if (wants_reply(opcode)) return done(delivery, to_errno(body.error()));
    return queue_->recycle(delivery);
  }
  if (!agreed_ && opcode != FUSE_INIT) return done(delivery, EIO);  // the kernel never does this
  try {
    serve(delivery, *body);
  } catch (...) {
    log_bug(delivery, std::current_exception());
    if (!delivery.answered && wants_reply(opcode)) send_errno(delivery, EIO);
    queue_->recycle(delivery);
  }
}

void Worker::ended(std::error_code why) { shared_.ended(why); }

void Worker::finished(Delivery& delivery, std::exception_ptr failure) {
  in_flight_.remove(delivery);
  if (failure) {
    bool cancelled = false;
    try {
      std::rethrow_exception(failure);
    } catch (const boost::system::system_error& e) {
      cancelled = e.code() == asio::error::operation_aborted;
    } catch (...) {
    }
    if (!cancelled) log_bug(delivery, failure);
    if (!delivery.answered) send_errno(delivery, delivery.interrupted && cancelled ? EINTR : EIO);
  }
  queue_->recycle(delivery);
  if (in_flight_.count() == 0) idle_.cancel();
}

void Worker::log_bug(const Delivery& delivery, std::exception_ptr failure) {
  std::string what = "not a std::exception";
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& e) {
    what = e.what();
  } catch (...) {
  }
  const auto& header = delivery.request.header;
  log::error("fuse.request.bug",
             {{"opcode", header.opcode}, {"unique", header.unique}, {"node", header.nodeid}, {"what", what}});
}

void Worker::init(Delivery& delivery, const Init& offer) {
  auto answer = negotiate(offer, shared_.options);
  if (!answer) {
    log::error("fuse.init.refused", {{"major", offer.major}, {"minor", offer.minor}});
    done(delivery, to_errno(answer.error()));
    return shared_.ended(answer.error());
  }
  send_struct(delivery, answer->out);
  queue_->recycle(delivery);
  if (answer->settings.minor == 0) return;  // asked again in our version
  agreed_ = answer->settings;
  shared_.initialised(answer->settings);
}

// EAGAIN would make the kernel ask again, but only when this very clone had read the request.
void Worker::interrupt_asked(Delivery& delivery, std::uint64_t unique) {
  queue_->recycle(delivery);
  if (interrupt_anywhere(unique) || early_.size() >= kMostEarly) return;
  early_.push_back({unique});
  if (early_.size() == 1) ask_again();
}

bool Worker::interrupt_anywhere(std::uint64_t unique) {
  return std::ranges::any_of(shared_.workers, [&](auto& worker) { return worker->interrupt(unique); });
}

void Worker::ask_again() {
  asking_.expires_after(kAskAgain);
  asking_.async_wait([this](boost::system::error_code cancelled) {
    if (cancelled) return;  // perhaps the worker is gone
    std::erase_if(early_, [&](Early& one) { return interrupt_anywhere(one.unique) || ++one.times == kAskTimes; });
    if (!early_.empty()) ask_again();
  });
}

vfs::Caller Worker::caller(const Delivery& delivery) const {
  const auto& header = delivery.request.header;
  return {header.uid, header.gid, header.pid};
}

void Worker::done(Delivery& delivery, int error) {
  send_errno(delivery, error);
  queue_->recycle(delivery);
}

void Worker::send_error(Delivery& delivery, std::error_code error) {
  auto number = to_errno(error);
  if (number == ECANCELED && delivery.interrupted) number = EINTR;
  send_errno(delivery, number);
}

void Worker::send_errno(Delivery& delivery, int error) {
  answer(delivery, error >= 0 && error < 512 ? error : EIO, {});  // the kernel refuses others
}

void Worker::send_body(Delivery& delivery, std::span<const iovec> body) { answer(delivery, 0, body); }

void Worker::answer(Delivery& delivery, int error, std::span<const iovec> body) {
  delivery.answered = true;
  meter_.answered(delivery.request.header.opcode, error, std::chrono::steady_clock::now() - delivery.came);
  queue_->send(delivery, error, body);
}

}  // namespace kiseki::fuse
