#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.hpp"
#include "meta/engine.hpp"
#include "meta/record_cache.hpp"

namespace kiseki::vfs {

/// All names of one directory, in the order they are listed in.
class Listing {
 public:
  void add(const std::vector<meta::ListedEntry>& page);
  std::size_t size() const { return items_.size(); }
  std::size_t bytes() const { return names_.capacity() + items_.capacity() * sizeof(Item); }

  std::string_view name(std::size_t index) const {
    std::size_t begins = index == 0 ? 0 : items_[index - 1].ends;
    return std::string_view(names_).substr(begins, items_[index].ends - begins);
  }
  Ino ino(std::size_t index) const { return items_[index].ino; }
  meta::FileType type(std::size_t index) const { return items_[index].type; }

  static constexpr std::size_t kMostBytes = 4u << 20;  ///< what is larger is listed page by page

 private:
  struct Item {
    Ino ino;
    std::uint32_t ends = 0;  ///< of its name, in `names_`
    meta::FileType type = meta::FileType::file;
  };
  std::string names_;
  std::vector<Item> items_;
};
using ListingPtr = std::shared_ptr<const Listing>;

/// Listings of directories listed lately. Each is right as long as the record cache has heard of no change since the
/// listing began, which its tickets tell. Bounded in bytes. Any thread.
class ListingCache {
 public:
  using Ticket = meta::RecordCache::Ticket;
  /// Null when there is none, or something has changed since.
  ListingPtr find(Ino dir, Ticket now);
  void put(Ino dir, Ticket began, ListingPtr listing);

 private:
  struct Kept {
    Ino dir;
    Ticket began;
    std::uint64_t used = 0;
    ListingPtr listing;
  };
  static constexpr std::size_t kMostBytes = 8u << 20, kMostListings = 64;

  std::mutex mutex_;  // guards what follows
  std::vector<Kept> kept_;
  std::size_t bytes_ = 0;
  std::uint64_t clock_ = 0;
};

}  // namespace kiseki::vfs
