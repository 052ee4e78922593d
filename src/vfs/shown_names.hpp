#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "meta/engine.hpp"
#include "vfs/listing.hpp"

namespace kiseki::vfs {

/// Keeps an entry that is renamed beside a listing from being shown under both names: which names were shown, and which
/// name an entry had before. Costs nothing until something is renamed or the listing is too long to be kept; then names
/// shown are a filter of 1 MiB. Of a million names one renamed entry in forty is then left out though it was not shown,
/// as any file system may leave out what changes meanwhile. Any thread.
class ShownNames {
 public:
  /// What was shown before entry `to` of a listing that is kept.
  void catch_up(const Listing& all, std::uint64_t to);
  void add(const Listing& all);
  void add(const std::vector<meta::ListedEntry>& page);
  /// An entry gets a new name in this directory; before it happens.
  void moving(std::string_view from, std::string_view to);
  /// It did not, or something already had that name.
  void not_moved(std::string_view to);
  /// The entry was shown, under this name or one it had before.
  bool twice(std::string_view name) const;
  void clear();
  /// From now on, until cleared, with a filter of 16 KiB: when memory is short, more is left out.
  void stay_small();
  std::size_t bytes() const;

 private:
  static constexpr std::size_t kBits = std::size_t{1} << 23, kFewBits = 1u << 17, kMostMoves = 1u << 16;
  void mark(std::string_view name);
  bool marked(std::string_view name) const;

  std::atomic<bool> moved_{false};
  mutable std::mutex guard_;  // guards what follows
  std::vector<std::uint64_t> filter_;
  std::size_t bits_ = kBits;                             ///< of the filter when it is made
  std::uint64_t caught_up_ = 0;                          ///< with a kept listing
  std::unordered_map<std::string, std::string> before_;  ///< new name → the one before
};

struct DirHandle;

/// Open directories of this mount by inode, for renames to tell. Any thread.
class OpenListings {
 public:
  using DirPtr = std::shared_ptr<DirHandle>;
  void add(Ino ino, const DirPtr& dir);
  void remove(Ino ino, const DirPtr& dir);
  std::vector<DirPtr> of(Ino ino) const;

 private:
  std::atomic<std::size_t> count_{0};  ///< renames ask all the time, and mostly nobody lists
  mutable std::mutex guard_;
  std::unordered_multimap<Ino, std::weak_ptr<DirHandle>> open_;
};

}  // namespace kiseki::vfs
