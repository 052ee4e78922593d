#include "vfs/shown_names.hpp"

#include <functional>

namespace kiseki::vfs {

namespace {

constexpr int kHashes = 4;

/// Where a name's bits stand: by double hashing.
template <class Visit>
bool every_bit(std::string_view name, std::size_t bits, Visit visit) {
  std::uint64_t hash = std::hash<std::string_view>()(name), step = (hash >> 32) | 1u;
  for (int i = 0; i < kHashes; ++i, hash += step)
    if (!visit(hash % bits)) return false;
  return true;
}

}  // namespace

void ShownNames::mark(std::string_view name) {
  if (filter_.empty()) filter_.resize(bits_ / 64);
  every_bit(name, filter_.size() * 64, [this](std::size_t bit) {
    filter_[bit / 64] |= std::uint64_t{1} << (bit % 64);
    return true;
  });
}

bool ShownNames::marked(std::string_view name) const {
  return every_bit(name, filter_.size() * 64,
                   [this](std::size_t bit) { return ((filter_[bit / 64] >> (bit % 64)) & 1u) != 0; });
}

void ShownNames::catch_up(const Listing& all, std::uint64_t to) {
  if (!moved_) return;
  std::lock_guard hold(guard_);
  for (; caught_up_ < to; ++caught_up_) mark(all.name(caught_up_));
}

void ShownNames::add(const Listing& all) {
  std::lock_guard hold(guard_);
  for (; caught_up_ < all.size(); ++caught_up_) mark(all.name(caught_up_));
}

void ShownNames::add(const std::vector<meta::ListedEntry>& page) {
  std::lock_guard hold(guard_);
  for (auto& entry : page) mark(entry.name);
}

void ShownNames::moving(std::string_view from, std::string_view to) {
  std::lock_guard hold(guard_);
  if (before_.size() >= kMostMoves) return;
  before_.insert_or_assign(std::string(to), std::string(from));
  moved_ = true;
}

void ShownNames::not_moved(std::string_view to) {
  std::lock_guard hold(guard_);
  before_.erase(std::string(to));
}

bool ShownNames::twice(std::string_view name) const {
  if (!moved_) return false;
  std::lock_guard hold(guard_);
  if (filter_.empty()) return false;
  auto it = before_.find(std::string(name));
  constexpr int kMostNames = 64;  // a file that moves back and forth closes a circle
  for (int i = 0; it != before_.end() && i < kMostNames; ++i) {
    if (marked(it->first) || marked(it->second)) return true;
    it = before_.find(it->second);
  }
  return false;
}

void ShownNames::stay_small() {
  std::lock_guard hold(guard_);
  bits_ = kFewBits;
}

std::size_t ShownNames::bytes() const {
  std::lock_guard hold(guard_);
  return filter_.size() * sizeof(std::uint64_t);
}

void ShownNames::clear() {
  std::lock_guard hold(guard_);
  filter_ = {};
  bits_ = kBits;
  before_.clear();
  caught_up_ = 0;
  moved_ = false;
}

void OpenListings::add(Ino ino, const DirPtr& dir) {
  std::lock_guard hold(guard_);
  open_.emplace(ino, dir);
  count_ = open_.size();
}

void OpenListings::remove(Ino ino, const DirPtr& dir) {
  std::lock_guard hold(guard_);
  auto [first, last] = open_.equal_range(ino);
  for (auto it = first; it != last; ++it) {
    if (it->second.lock() != dir) continue;
    open_.erase(it);
    break;
  }
  count_ = open_.size();
}

std::vector<OpenListings::DirPtr> OpenListings::of(Ino ino) const {
  std::vector<DirPtr> found;
  if (count_ == 0) return found;
  std::lock_guard hold(guard_);
  auto [first, last] = open_.equal_range(ino);
  for (auto it = first; it != last; ++it)
    if (auto open = it->second.lock()) found.push_back(std::move(open));
  return found;
}

}  // namespace kiseki::vfs
