#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/async.hpp"
#include "core/ids.hpp"
#include "meta/engine.hpp"
#include "meta/record_cache.hpp"
#include "vfs/data.hpp"
#include "vfs/listing.hpp"
#include "vfs/shown_names.hpp"

namespace kiseki::vfs {

/// Who took record locks through an open file and has not closed it since. A process is taken out by its close(); what
/// remains when the open file goes are owners that are the open file itself (F_OFD_SETLK), of whose end the kernel says
/// nothing. Any thread.
class LockOwners {
 public:
  void add(std::uint64_t owner);
  void remove(std::uint64_t owner);
  std::vector<std::uint64_t> take();

 private:
  std::mutex guard_;
  std::vector<std::uint64_t> owners_;  ///< a set; rarely more than one
};

/// Inodes something is happening to that the kernel lets nobody wait for, so whoever comes next does: locks that a
/// close releases, a commit that erases the inode. Any thread.
class BusyInodes {
 public:
  void begin(Ino ino);
  void end(Ino ino);
  bool any(Ino ino) const;
  Async<void> gone(Ino ino);  ///< until it is over. Errors: EINTR

 private:
  Async<void> changed(std::uint64_t ticket);
  std::atomic<std::size_t> count_{0};
  mutable std::mutex guard_;
  std::unordered_map<Ino, unsigned> busy_;
  Signal changed_;
};

/// One holder's part of a sum of bytes that all of its kind share. The sum outlives it.
class BytesHeld {
 public:
  explicit BytesHeld(std::atomic<std::size_t>& sum) : sum_(sum) {}
  BytesHeld(const BytesHeld&) = delete;
  ~BytesHeld() { sum_ -= bytes_; }
  void now(std::size_t bytes) { sum_ += bytes - std::exchange(bytes_, bytes); }  // unsigned: wraps to what it should be

 private:
  std::atomic<std::size_t>& sum_;
  std::size_t bytes_ = 0;
};

/// An open file of this mount.
struct FileHandle {
  Ino ino;
  std::uint32_t flags = 0;  ///< open(2) flags
  ReadStreamPtr stream;
  LossesTold losses_told;
  bool direct = false;  ///< past the page cache
  std::atomic<bool> wrote{false}, accessed{false}, has_flock{false};
  /// Inherited: bytes written through it before may have died with the process that had them. Told once.
  std::atomic<bool> may_have_lost{false};
  std::atomic<std::uint64_t> dropping_pages{0};  ///< PageCacheVersions::Opened::dropping
  LockOwners lock_owners;
};

/// Entries [first, end) of a directory, as they were when they were asked for.
struct ListingPage {
  using Clock = std::chrono::steady_clock;
  std::uint64_t first = 0;
  std::vector<meta::ListedEntry> entries;
  meta::RecordCache::Ticket ticket;
  Clock::time_point at;
  std::uint64_t end() const { return first + entries.size(); }
  bool holds(std::uint64_t index) const { return index >= first && index < end(); }
};

/// All names of a directory, and when they were right.
struct WholeListing {
  ListingPtr names;  ///< null: not in memory
  meta::RecordCache::Ticket ticket;
};

/// A directory being listed: from `whole`, if its names were in memory; else pages of entries fetched in order, and
/// where each page begins, so that seekdir goes back without listing the directory anew. Requests that fetch queue
/// behind `lock`.
struct DirHandle {
  DirHandle(Ino which, std::atomic<std::size_t>& all_bytes) : ino(which), held(all_bytes) {}
  Ino ino;
  std::uint32_t flags = 0;  ///< open(2) flags
  BytesHeld held;
  std::mutex guard;  ///< of `whole`
  WholeListing whole;

  Mutex lock;
  std::shared_ptr<Listing> growing;     ///< what the pages so far hold; null when that is too much to keep
  meta::RecordCache::Ticket listed_at;  ///< when the first page was asked for
  ListingPage page, previous;           ///< the kernel may step back a little, and must then find what it was shown
  std::string next;                     ///< cursor after `page`; empty and `ended`: nothing follows
  bool started = false, ended = false;
  std::vector<std::pair<std::uint64_t, std::string>> pages;  ///< first index and cursor of every page seen
  std::uint64_t shown_to = 0, skipped_to = 0;  ///< after the last entry shown, and after those left out behind it
  ShownNames shown;

  /// What it keeps in memory, about.
  std::size_t bytes() const {
    constexpr std::size_t kEntry = sizeof(meta::ListedEntry) + 32;  // with its name
    return (page.entries.capacity() + previous.entries.capacity()) * kEntry + (growing ? growing->bytes() : 0) +
           shown.bytes();
  }
  const ListingPage* holding(std::uint64_t index) const {
    return page.holds(index) ? &page : previous.holds(index) ? &previous : nullptr;
  }
};

/// Open internal file (.stats, .config, .control): a text taken at open, and for .control a request in the making.
class AccessLogReader;
struct InternalHandle {
  InternalHandle(Ino which, std::atomic<std::size_t>& all_bytes) : ino(which), held(all_bytes) {}
  Ino ino;
  std::mutex guard;           ///< of what follows
  std::string content;        ///< what reads see; of .control the last request and its reply
  std::uint64_t dropped = 0;  ///< what stood before it: .control is read on where it was written
  std::string request;        ///< .control: bytes written so far
  BytesHeld held;
  std::shared_ptr<AccessLogReader> reader;  ///< .accesslog
};

/// Handle numbers to open things. Numbers are never reused, nor are those of an earlier process that served the mount
/// and died: the kernel goes on using them. Each table begins at the clock's nanoseconds, which nobody opens files fast
/// enough to use up. Any thread.
template <class T>
class HandleTable {
 public:
  HandleTable()
      : first_(static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch() /
                                          std::chrono::nanoseconds(1))),
        next_(first_) {}
  /// The number can only come from such an earlier process.
  bool inherited(HandleId id) const { return id.value < first_; }
  /// Puts something under an inherited number. What stands there then: perhaps another was faster.
  std::shared_ptr<T> adopt(HandleId id, std::shared_ptr<T> what) {
    auto& shard = shard_of(id);
    std::lock_guard hold(shard.guard);
    return shard.open.emplace(id.value, std::move(what)).first->second;
  }
  HandleId add(std::shared_ptr<T> what) {
    HandleId id{next_.fetch_add(1, std::memory_order_relaxed)};
    auto& shard = shard_of(id);
    std::lock_guard hold(shard.guard);
    shard.open.emplace(id.value, std::move(what));
    return id;
  }
  std::shared_ptr<T> find(HandleId id) const {
    auto& shard = shard_of(id);
    std::lock_guard hold(shard.guard);
    auto it = shard.open.find(id.value);
    return it == shard.open.end() ? nullptr : it->second;
  }
  std::shared_ptr<T> remove(HandleId id) {
    auto& shard = shard_of(id);
    std::lock_guard hold(shard.guard);
    auto node = shard.open.extract(id.value);
    return node ? std::move(node.mapped()) : nullptr;
  }
  std::size_t size() const {
    std::size_t total = 0;
    for (auto& shard : shards_) {
      std::lock_guard hold(shard.guard);
      total += shard.open.size();
    }
    return total;
  }

 private:
  struct Shard {
    mutable std::mutex guard;
    std::unordered_map<std::uint64_t, std::shared_ptr<T>> open;
  };
  Shard& shard_of(HandleId id) const { return shards_[id.value % shards_.size()]; }
  mutable std::array<Shard, 16> shards_;
  const std::uint64_t first_;
  std::atomic<std::uint64_t> next_;
};

/// How often each inode is open in this mount, and which of them lost their last name meanwhile. Any thread.
class OpenTable {
 public:
  void add(Ino ino);
  enum class Left { others, none, none_nameless };
  /// One open less. `none_nameless`: it was the last and the inode has no name left: its data may go now.
  Left remove(Ino ino);
  bool contains(Ino ino) const;
  enum class Fate { sustained, erased };
  bool mark_unlinked(Ino ino, Fate fate);  ///< false: it is not open any more
  bool erased(Ino ino) const;              ///< while it was open
  /// Somebody holds record locks through this mount: every close must release the closer's.
  void mark_range_locked(Ino ino);
  bool range_locked(Ino ino) const;
  std::vector<Ino> unlinked() const;

 private:
  struct State {
    std::uint32_t opens = 0;
    bool unlinked = false, erased = false, range_locked = false;
  };
  struct Shard {
    mutable std::mutex guard;
    std::unordered_map<Ino, State> inodes;
  };
  Shard& shard_of(Ino ino) const { return shards_[std::hash<Ino>()(ino) >> 60]; }
  mutable std::array<Shard, 16> shards_;
};

}  // namespace kiseki::vfs
