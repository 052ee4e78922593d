#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/async.hpp"
#include "core/ids.hpp"
#include "meta/engine.hpp"
#include "meta/record_cache.hpp"
#include "vfs/data.hpp"
#include "vfs/listing.hpp"

namespace kiseki::vfs {

/// An open file of this mount.
struct FileHandle {
  Ino ino;
  std::uint32_t flags = 0;  ///< open(2) flags
  ReadStreamPtr stream;
  std::atomic<bool> wrote{false}, accessed{false}, has_flock{false};
  bool writable() const { return (flags & 3u) != 0; }
};

/// A directory being listed: from `whole`, if its names were in memory; else pages of entries fetched in order, and
/// where each page begins, so that seekdir goes back without listing the directory anew. Requests that fetch queue
/// behind `lock`.
struct DirHandle {
  Ino ino;
  std::mutex guard;  ///< of `whole`
  ListingPtr whole;

  Mutex lock;
  std::shared_ptr<Listing> growing;     ///< what the pages so far hold; null when that is too much to keep
  meta::RecordCache::Ticket listed_at;  ///< when the first page was asked for
  bool with_attrs = false;
  std::vector<meta::ListedEntry> page;  ///< entries [first, first + page.size())
  std::uint64_t first = 0;
  std::string next;  ///< cursor after `page`; empty and `ended`: nothing follows
  bool started = false, ended = false;
  std::vector<std::pair<std::uint64_t, std::string>> pages;  ///< first index and cursor of every page seen
};

/// Open internal file (.stats, .config, .control): a text taken at open, and for .control a request in the making.
struct InternalHandle {
  Ino ino;
  std::mutex guard;     ///< of `content` and `request`
  std::string content;  ///< what reads see
  std::string request;  ///< .control: bytes written so far
};

/// Handle numbers to open things. Numbers are never reused. Any thread.
template <class T>
class HandleTable {
 public:
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
  std::atomic<std::uint64_t> next_{1};
};

/// How often each inode is open in this mount, and which of them lost their last name meanwhile. Any thread.
class OpenTable {
 public:
  void add(Ino ino);
  /// One open less. True when it was the last and the inode has no name left: its data may go now.
  bool remove(Ino ino);
  bool contains(Ino ino) const;
  void mark_unlinked(Ino ino);
  /// Somebody holds record locks through this mount: every close must release the closer's.
  void mark_range_locked(Ino ino);
  bool range_locked(Ino ino) const;
  std::vector<Ino> unlinked() const;

 private:
  struct State {
    std::uint32_t opens = 0;
    bool unlinked = false, range_locked = false;
  };
  struct Shard {
    mutable std::mutex guard;
    std::unordered_map<Ino, State> inodes;
  };
  Shard& shard_of(Ino ino) const { return shards_[std::hash<Ino>()(ino) >> 60]; }
  mutable std::array<Shard, 16> shards_;
};

/// Which version of a file the kernel's page cache may hold: an open keeps the cache only when the file still has the
/// mtime and length of the last open. A lossy table of fixed size: forgetting costs a re-read, never a stale one.
class PageCacheVersions {
 public:
  PageCacheVersions() : slots_(kSlots) {}
  /// True when the kernel's pages of `ino` were read from this very version; remembers the version.
  bool still_current(Ino ino, const meta::Attr& attr);
  void forget(Ino ino);  ///< written to: the next open starts afresh

 private:
  static constexpr std::size_t kSlots = 1u << 14;
  struct Slot {
    std::atomic<std::uint64_t> ino{0}, version{0};
  };
  Slot& slot_of(Ino ino) { return slots_[std::hash<Ino>()(ino) >> 50]; }
  std::vector<Slot> slots_;
};

}  // namespace kiseki::vfs
