#include "vfs/read_stream.hpp"

#include <algorithm>

namespace kiseki::vfs {

namespace {
constexpr std::uint64_t kDisorder = 2 << 20;  // how far parallel requests of one pass may overtake each other
}

void ReadStreamDeleter::operator()(ReadStream* stream) const { delete stream; }

ReadStream::~ReadStream() { set_window(0); }

void ReadStream::set_window(std::uint64_t bytes) {
  if ((bytes > 0) != (window_ > 0)) *streaming_ += bytes > 0 ? 1 : -1;
  window_ = bytes;
}

void ReadStream::restart(std::uint64_t offset) {
  next_ = ahead_ = offset;
  passed_ = 0;
  // Who begins at the start will most likely go on.
  set_window(offset == 0 ? std::min(limits_.block_bytes, limits_.most) : 0);
}

bool ReadStream::sequential() const {
  std::lock_guard lock(mutex_);
  return window_ > 0;
}

ByteRange ReadStream::advance(std::uint64_t offset, std::uint64_t size, std::uint64_t length, AheadRoom room) {
  std::lock_guard lock(mutex_);
  bool same_pass =
      next_ > 0 && offset + kDisorder >= next_ && offset <= next_ + kDisorder && (offset != 0 || next_ <= kDisorder);
  if (!same_pass) restart(offset);
  next_ = std::max(next_, offset + size);
  passed_ += size;
  if (window_ == 0 && same_pass && passed_ > size) set_window(std::min(limits_.block_bytes, limits_.most));
  // Early, so that a store far away is soon kept busy: who stops has been brought at most four times what was read.
  while (window_ > 0 && window_ < limits_.most && passed_ >= window_ / 2)
    set_window(std::min(window_ * 2, limits_.most));
  ahead_ = std::max(ahead_, next_);
  auto until = std::min({length, next_ + std::min(window_, room.window), ahead_ + room.start});
  // In steps of half a block at least: a request per read would be more work than it saves.
  if (until <= ahead_ || (until - ahead_ < limits_.block_bytes / 2 && until < length)) return *ByteRange::of(next_, 0);
  auto range = *ByteRange::of(ahead_, until - ahead_);
  ahead_ = until;
  return range;
}

}  // namespace kiseki::vfs
