#include "fuse/dev_queue.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

#include "core/log.hpp"
#include "fuse/device_wait.hpp"
#include "fuse/request_buffers.hpp"

namespace kiseki::fuse {
namespace {

constexpr int kRequestsPerTurn = 32;       // then timers and sockets of the loop get their turn
constexpr std::size_t kSmall = 4096 + 80;  // requests up to this leave the big buffer
constexpr std::size_t kKeptDeliveries = 64;
constexpr std::size_t kKeptSpace = 64 << 10;
constexpr std::size_t kMostPieces = 1000;  // writev(2) takes 1024

// A request wakes the loops of all clones, and the one on the application's CPU has it first. A loop that was woken in
// vain several times in a row leaves the device to the others for a moment, for longer each time that it then was in
// vain again: each such wake costs as much as a request.
constexpr int kVainWakes = 3;
constexpr auto kStandBack = std::chrono::microseconds(250), kLongestStandBack = std::chrono::microseconds(4000);

class DevDelivery final : public Delivery {
 public:
  std::byte* big = nullptr;  // the request buffer it holds, if it is large
  std::size_t big_bytes = 0;
  std::unique_ptr<std::byte[]> space;
  std::size_t space_bytes = 0;
  bool kept = false;  // counted against the bound
  alignas(8) std::array<std::byte, kSmall> small;
};

class DevQueue final : public Queue, private ReadableHandler {
 public:
  DevQueue(asio::io_context& loop, UniqueFd device, DevQueueLimits limits)
      : loop_(loop),
        device_(std::move(device)),
        limits_(limits),
        wait_(make_device_wait(loop, device_.get())),
        buffers_(limits.max_write, limits.write_buffers),
        standing_back_(loop) {}

  void start(RequestSink& sink) override {
    sink_ = &sink;
    drain();
  }

  void send(Delivery& delivery, int error, std::span<const iovec> body) override {
    auto unique = delivery.request.header.unique;
    if (error != 0) return send_error(unique, error);
    std::array<iovec, 40> few;
    if (body.size() < few.size()) return send_pieces(unique, few, body);
    if (body.size() > kMostPieces) return send_joined(unique, body);
    std::vector<iovec> many(body.size() + 1);
    send_pieces(unique, many, body);
  }

  std::span<std::byte> space(Delivery& delivery, std::size_t bytes) override {
    auto& mine = static_cast<DevDelivery&>(delivery);
    if (mine.space_bytes < bytes) {
      mine.space = std::make_unique_for_overwrite<std::byte[]>(bytes);
      mine.space_bytes = bytes;
    }
    return {mine.space.get(), mine.space_bytes};
  }

  void set_aside(Delivery& delivery) override {
    auto& mine = static_cast<DevDelivery&>(delivery);
    if (std::exchange(mine.kept, false)) --in_hand_;
  }

  void recycle(Delivery& delivery) override {
    auto* mine = static_cast<DevDelivery*>(&delivery);
    if (mine->big != nullptr) {
      buffers_.give_back(std::exchange(mine->big, nullptr));
      held_bytes_ -= mine->big_bytes;
    }
    if (mine->kept) --in_hand_;
    if (mine->space_bytes > kKeptSpace) mine->space.reset(), mine->space_bytes = 0;
    mine->kept = mine->interrupted = mine->was_patient = mine->waits_for_lock = mine->answered = false;
    spare_.emplace_back(mine);
    if (stalled_) stalled_ = false, drain_soon();
  }

  asio::awaitable<void> close() override {
    sink_ = nullptr;
    wait_->cancel();
    standing_back_.cancel();
    while (pending_ > 0) co_await asio::post(loop_, asio::use_awaitable);
  }

 private:
  void readable(std::error_code error) override {
    --pending_;
    if (sink_ == nullptr) return;
    if (error) return end(error);
    ++vain_wakes_;  // until a request is read
    drain();
  }

  /// Reads and hands on until the device has nothing more, a bound is reached or the turn is over.
  void drain() {
    for (int left = kRequestsPerTurn; left > 0; --left) {
      if (reading_ == nullptr && held_bytes_ < limits_.write_bytes) reading_ = buffers_.take();
      if (reading_ == nullptr || in_hand_ >= limits_.requests) {
        stalled_ = true;  // the next recycle goes on
        return;
      }
      auto n = ::read(device_.get(), reading_, buffers_.capacity());
      if (n > 0) {
        vain_wakes_ = 0;
        stand_back_ = kStandBack;
        hand_on(static_cast<std::size_t>(n));
        if (sink_ == nullptr) return;
        continue;
      }
      if (n == 0) return end(posix(ENODEV));  // a test's socket was closed
      if (errno == EAGAIN) return vain_wakes_ > kVainWakes && !was_back_ ? stand_back() : arm();
      if (errno != EINTR && errno != ENOENT) return end(posix(errno));  // ENOENT: taken back meanwhile
    }
    if (spare_.size() > kKeptDeliveries) spare_.resize(kKeptDeliveries);
    drain_soon();
  }

  void hand_on(std::size_t bytes) {
    DevDelivery* delivery = take_delivery();
    std::span<const std::byte> message(reading_, bytes);
    if (bytes <= kSmall) {
      std::memcpy(delivery->small.data(), reading_, bytes);
      message = {delivery->small.data(), bytes};
    } else {
      delivery->big = std::exchange(reading_, nullptr);
      held_bytes_ += delivery->big_bytes = bytes;
    }
    auto request = frame(message);
    if (!request) {  // not from a kernel in its right mind; without a header there is nobody to answer
      log::error("fuse.request.malformed", {{"bytes", bytes}});
      return recycle(*delivery);
    }
    delivery->request = *request;
    delivery->kept = true;
    ++in_hand_;
    sink_->arrived(*delivery);
  }

  DevDelivery* take_delivery() {
    if (spare_.empty()) return new DevDelivery;  // owned by whoever recycles it: comes back to spare_
    auto* out = spare_.back().release();
    spare_.pop_back();
    return out;
  }

  void stand_back() {
    ++pending_;
    standing_back_.expires_after(stand_back_);
    stand_back_ = std::min(2 * stand_back_, kLongestStandBack);
    standing_back_.async_wait([this](boost::system::error_code) {
      --pending_;
      if (sink_ == nullptr) return;
      was_back_ = true;
      drain();
    });
  }

  void arm() {
    was_back_ = false;
    if (spare_.size() > kKeptDeliveries) spare_.resize(kKeptDeliveries);
    ++pending_;
    wait_->arm(*this);
  }

  void drain_soon() {
    ++pending_;
    asio::post(loop_, [this] {
      --pending_;
      if (sink_ != nullptr) drain();
    });
  }

  void end(std::error_code why) { std::exchange(sink_, nullptr)->ended(why); }

  void send_error(std::uint64_t unique, int error) {
    fuse_out_header header{sizeof(fuse_out_header), -error, unique};
    iovec one{&header, sizeof header};
    deliver(unique, {&one, 1});
  }

  void send_pieces(std::uint64_t unique, std::span<iovec> room, std::span<const iovec> body) {
    std::size_t bytes = sizeof(fuse_out_header);
    for (std::size_t i = 0; i < body.size(); ++i) {
      room[i + 1] = body[i];
      bytes += body[i].iov_len;
    }
    fuse_out_header header{static_cast<std::uint32_t>(bytes), 0, unique};
    room[0] = {&header, sizeof header};
    if (!deliver(unique, room.first(body.size() + 1))) send_error(unique, EIO);
  }

  void send_joined(std::uint64_t unique, std::span<const iovec> body) {
    std::vector<std::byte> joined;
    for (const auto& piece : body) {
      auto* from = static_cast<const std::byte*>(piece.iov_base);
      joined.insert(joined.end(), from, from + piece.iov_len);
    }
    std::array<iovec, 2> room;
    iovec one{joined.data(), joined.size()};
    send_pieces(unique, room, {&one, 1});
  }

  /// False: the kernel did not understand the answer and still waits for one.
  bool deliver(std::uint64_t unique, std::span<const iovec> message) {
    auto n = ::writev(device_.get(), message.data(), static_cast<int>(message.size()));
    if (n >= 0 || errno == ENOENT || errno == ENODEV || errno == ECONNABORTED || errno == EPIPE) return true;
    log::error("fuse.reply.refused", {{"unique", unique}, {"error", posix(errno)}});
    return false;
  }

  asio::io_context& loop_;
  UniqueFd device_;
  DevQueueLimits limits_;
  std::unique_ptr<DeviceWait> wait_;
  RequestBuffers buffers_;
  RequestSink* sink_ = nullptr;
  std::byte* reading_ = nullptr;  // the buffer the next request lands in
  std::vector<std::unique_ptr<DevDelivery>> spare_;
  std::size_t in_hand_ = 0;
  std::size_t held_bytes_ = 0;  // of requests in hand that are large
  int pending_ = 0;             // handlers that still point here
  int vain_wakes_ = 0;
  std::chrono::microseconds stand_back_ = kStandBack;  // the next time
  bool was_back_ = false;                              // a moment ago: then it waits at the device, whatever it found
  asio::steady_timer standing_back_;
  bool stalled_ = false;
};

}  // namespace

std::unique_ptr<Queue> make_dev_queue(asio::io_context& loop, UniqueFd device, DevQueueLimits limits) {
  return std::make_unique<DevQueue>(loop, std::move(device), limits);
}

Result<UniqueFd> clone_device(int device) {
  UniqueFd out(::open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  auto of = static_cast<std::uint32_t>(device);
  if (out && ::ioctl(out.get(), FUSE_DEV_IOC_CLONE, &of) == 0) return out;
  UniqueFd same(::fcntl(device, F_DUPFD_CLOEXEC, 0));
  if (!same) return posix(errno);
  if (::fcntl(same.get(), F_SETFL, ::fcntl(same.get(), F_GETFL) | O_NONBLOCK) != 0) return posix(errno);
  return same;
}

}  // namespace kiseki::fuse
