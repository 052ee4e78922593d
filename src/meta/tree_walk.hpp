#pragma once

#include <optional>
#include <unordered_set>
#include <vector>

#include "core/ids.hpp"

namespace kiseki::meta {

/// The directories below one that are still to be listed, each handed out once: a damaged tree may lead back into
/// itself.
class TreeWalk {
 public:
  explicit TreeWalk(Ino top) { add(top); }
  void add(Ino dir) {
    if (met_.insert(dir).second) open_.push_back(dir);
  }
  /// The next one, which is done with; nothing at the end.
  std::optional<Ino> next() {
    if (open_.empty()) return std::nullopt;
    Ino dir = open_.back();
    open_.pop_back();
    return dir;
  }

 private:
  std::vector<Ino> open_;
  std::unordered_set<Ino> met_;
};

/// A climb from parent to parent that may never come to an end, for the same reason. Brent's way: a landmark is moved
/// up at every power of two, and met again only in a circle.
class Climb {
 public:
  /// The climb has come to this directory. False: it goes in a circle, or is deeper than any path.
  bool at(Ino dir) {
    if (dir == landmark_ || steps_ > kMostSteps) return false;
    if ((steps_ & (steps_ - 1)) == 0) landmark_ = dir;
    ++steps_;
    return true;
  }

 private:
  static constexpr std::size_t kMostSteps = 1'000'000;
  Ino landmark_;
  std::size_t steps_ = 0;
};

}  // namespace kiseki::meta
