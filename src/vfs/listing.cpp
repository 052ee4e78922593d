#include "vfs/listing.hpp"

#include <algorithm>

namespace kiseki::vfs {

void Listing::add(const std::vector<meta::ListedEntry>& page) {
  for (const auto& listed : page) {
    names_ += listed.name;
    items_.push_back({listed.entry.ino, static_cast<std::uint32_t>(names_.size()), listed.entry.type});
  }
}

ListingPtr ListingCache::find(Ino dir, Ticket now) {
  std::lock_guard lock(mutex_);
  for (auto& one : kept_) {
    bool right = one.began.sequence == now.sequence && one.began.generation == now.generation;
    if (one.dir != dir || !right) continue;
    one.used = ++clock_;
    return one.listing;
  }
  return nullptr;
}

void ListingCache::put(Ino dir, Ticket began, ListingPtr listing) {
  std::lock_guard lock(mutex_);
  auto give_up = [this](std::vector<Kept>::iterator which) {
    bytes_ -= which->listing->bytes();
    kept_.erase(which);
  };
  auto older = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& one) { return one.dir == dir; });
  if (older != kept_.end()) give_up(older);
  bytes_ += listing->bytes();
  kept_.push_back({dir, began, ++clock_, std::move(listing)});
  while (kept_.size() > kMostListings || (bytes_ > kMostBytes && kept_.size() > 1))
    give_up(std::min_element(kept_.begin(), kept_.end(), [](auto& a, auto& b) { return a.used < b.used; }));
}

}  // namespace kiseki::vfs
