#include "fuse/notifier.hpp"

#include <poll.h>
#include <pthread.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>

#include "core/log.hpp"

namespace kiseki::fuse {

constexpr std::uint32_t kEpochMinor = 44;

namespace {
bool is_gone(int error) { return error == ENODEV || error == ECONNABORTED || error == EPIPE; }
}  // namespace

Notifier::Notifier(UniqueFd device, Settings settings)
    : device_(std::move(device)), settings_(settings), thread_([this] { run(); }) {}

Notifier::~Notifier() { close(); }

void Notifier::close() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
  device_ = {};
}

void Notifier::forget_entry(Ino parent, std::string name) {
  if (!name.empty()) push({parent, std::move(name)});
}

void Notifier::forget_data(Ino ino, std::uint64_t offset, std::uint64_t length) { push({ino, {}, offset, length}); }

void Notifier::forget_attr(Ino ino) {
  constexpr std::int64_t kNoData = -1;
  fuse_notify_inval_inode_out out{ino.value, kNoData, 0};
  iovec body{&out, sizeof out};
  std::lock_guard lock(mutex_);
  if (!gone_ && !stopping_) gone_ = is_gone(write(FUSE_NOTIFY_INVAL_INODE, {&body, 1}));
}

void Notifier::push(Note note) {
  {
    std::lock_guard lock(mutex_);
    if (gone_ || stopping_) return;
    if (waiting_.size() < kMostWaiting) {
      waiting_.push_back(std::move(note));
    } else if (!note.name.empty() && settings_.minor >= kEpochMinor) {
      all_names_ = true;
    } else if (!std::exchange(overflowed_, true)) {
      log::warn("fuse.notify.overflow", {{"waiting", waiting_.size()}});  // timeouts must do
    }
  }
  changed_.notify_one();
}

void Notifier::run() {
  ::pthread_setname_np(::pthread_self(), "kiseki-notify");
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || all_names_ || !waiting_.empty(); });
    if (stopping_) return;
    bool all_names = std::exchange(all_names_, false);
    std::deque<Note> batch = std::exchange(waiting_, {});
    overflowed_ = false;
    lock.unlock();
    bool gone = all_names && is_gone(send_epoch());
    for (const auto& note : batch) gone = gone || is_gone(send(note));
    lock.lock();
    if (gone) gone_ = true;
  }
}

int Notifier::send(const Note& note) {
  if (note.name.empty()) {
    fuse_notify_inval_inode_out out{note.ino.value, static_cast<std::int64_t>(note.offset),
                                    static_cast<std::int64_t>(note.length)};
    iovec body{&out, sizeof out};
    return write(FUSE_NOTIFY_INVAL_INODE, {&body, 1});
  }
  fuse_notify_inval_entry_out out{note.ino.value, static_cast<std::uint32_t>(note.name.size()), 0};
  std::array<iovec, 2> body{{{&out, sizeof out}, {const_cast<char*>(note.name.c_str()), note.name.size() + 1}}};
  return write(FUSE_NOTIFY_INVAL_ENTRY, body);
}

int Notifier::send_epoch() { return write(abi::kNotifyIncEpoch, {}); }

int Notifier::write(std::int32_t code, std::span<const iovec> body) {
  std::array<iovec, 3> message;
  std::size_t bytes = sizeof(fuse_out_header);
  for (std::size_t i = 0; i < body.size(); ++i) {
    message[i + 1] = body[i];
    bytes += body[i].iov_len;
  }
  fuse_out_header header{static_cast<std::uint32_t>(bytes), code, 0};
  message[0] = {&header, sizeof header};
  if (::writev(device_.get(), message.data(), static_cast<int>(body.size() + 1)) >= 0) return 0;
  return errno;  // ENOENT, most often: the kernel had not cached it
}

}  // namespace kiseki::fuse
