#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string_view>
#include <vector>

#include "core/ids.hpp"
#include "meta/attr.hpp"
#include "meta/clock_table.hpp"

namespace kiseki::vfs {

/// Which version of a file the kernel's page cache may hold: an open keeps the cache only when the file still has the
/// times and length of an earlier open that was told to drop it, and is known to have done so: the kernel drops pages
/// after it got our answer, and until then another open must not be told that they are right. A lossy table of fixed
/// size: forgetting costs a re-read, never a stale one. Any thread.
class PageCacheVersions {
 public:
  struct Opened {
    bool keep = false;         ///< the kernel's pages are of this very version
    std::uint64_t dropping{};  ///< else what to say once the kernel has dropped them; 0: nothing
  };
  PageCacheVersions() : slots_(kSlots) {}
  Opened opened(Ino ino, const meta::Attr& attr);
  /// open(2) has returned: the handle is being used.
  void dropped(Ino ino, std::uint64_t dropping);
  void forget(Ino ino);  ///< written to: the next open starts afresh

 private:
  static constexpr std::size_t kSlots = 1u << 14;
  using Slot = std::atomic<std::uint64_t>;  ///< hash of inode and version; bit 0: dropped
  Slot& slot_of(Ino ino) { return slots_[std::hash<Ino>()(ino) >> 50]; }
  std::vector<Slot> slots_;
};

/// What the kernel believes of files' attributes. Any thread.
///
/// It is not what it was told last: of two answers under way it drops the one whose question is the older, and that may
/// be the one with the newer attributes. So after another version was told, a version counts as believed only once the
/// kernel has been made to forget all before.
///
/// Its length of a file may stay too great until it asks again. When it then hears of the smaller one, it cuts its
/// pages off there and clears the rest of the last one, also while a write that it has not handed out yet stands in
/// that page: what it hands out is zeros. (It guards only writes past the length it knows.)
///
/// Bounded: what is given up costs a question of the kernel's, or a file opened past its page cache.
class ToldAttrs {
 public:
  /// `believed_for`: how long the kernel believes what it is told.
  explicit ToldAttrs(std::chrono::nanoseconds believed_for);

  void told(Ino ino, const meta::Attr& attr);
  bool believes(Ino ino, const meta::Attr& attr);   ///< surely this version, or none: it will ask
  bool told_last(Ino ino, const meta::Attr& attr);  ///< this version: that will do where only this mount changes files
  void forgotten(Ino ino, const meta::Attr& attr);  ///< it was made to forget by who knows of this version

  void resized(Ino ino, std::uint64_t length);  ///< it asked for this length itself: no write was under way
  void written(Ino ino, std::uint64_t end);     ///< it made a file at least this long by writing
  /// It may still take the file for longer than `length`, or be about to learn better: pages may be cut off.
  bool may_cut(Ino ino, std::uint64_t length);

 private:
  using Clock = std::chrono::steady_clock;
  enum class State : std::uint8_t {
    one,      ///< this version alone was told
    several,  ///< it may believe another
    forgot,   ///< all it was told before is forgotten
  };
  struct Entry {
    std::uint64_t version = 0;
    Timestamp ctime{};
    std::uint64_t length = 0;  ///< the kernel's is not greater
    std::uint64_t cut_to = 0;
    Clock::time_point cut_at{};  ///< when it was first told `cut_to`, less than `length`; none: it was not
    State state = State::one;
    void heed(std::uint64_t told, Clock::time_point now);
  };
  struct alignas(64) Shard {
    std::mutex mutex;  // guards what follows
    meta::ClockTable<Ino, Entry, std::hash<Ino>, std::equal_to<Ino>> entries;
    Clock::time_point gave_up{};  ///< one of them, for the last time
  };
  static constexpr std::size_t kShards = 16, kMost = (1u << 15) / kShards;
  Shard& shard_of(Ino ino) { return shards_[std::hash<Ino>()(ino) >> 60]; }
  Entry& put(Shard& shard, Ino ino, Entry entry);

  const std::chrono::nanoseconds believed_for_;
  std::array<Shard, kShards> shards_;
};

/// Names that the kernel was told of lately: if it asks again while it still believes what it was told, it wants to
/// know for certain, because it is about to make that name (O_EXCL, mkdir, a rename that replaces nothing). A lossy
/// table of fixed size. Any thread.
class ToldNames {
 public:
  /// `believed_for`: how long the kernel believes what it is told.
  explicit ToldNames(std::chrono::nanoseconds believed_for);
  void told(Ino parent, std::string_view name);
  bool asked_again(Ino parent, std::string_view name) const;

 private:
  static constexpr std::size_t kSlots = 1u << 13;
  struct Entry;                             ///< what a slot holds
  using Slot = std::atomic<std::uint64_t>;  ///< 0: empty
  const std::chrono::nanoseconds believed_for_;
  std::vector<Slot> slots_;
};

}  // namespace kiseki::vfs
