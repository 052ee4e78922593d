#pragma once

#include <cstdint>
#include <map>
#include <ostream>

#include "core/slice.hpp"

namespace kiseki::model {

/// What a file holds, as stretches of numbered writes: the plainest thing that can tell two contents apart.
class Content {
 public:
  struct Stretch {
    std::uint64_t end = 0;
    std::uint64_t id = 0;      ///< slice; 0: zeros
    std::uint64_t offset = 0;  ///< of the first byte in that slice
    friend bool operator==(const Stretch&, const Stretch&) = default;
  };
  void paint(std::uint64_t begin, std::uint64_t end, std::uint64_t id, std::uint64_t offset);
  void zero(std::uint64_t begin, std::uint64_t end) { paint(begin, end, 0, 0); }
  void cut(std::uint64_t length) { zero(length, ~std::uint64_t{0} >> 1); }
  /// Copies [from, from + size) of `source` to `to`.
  void copy(const Content& source, std::uint64_t from, std::uint64_t size, std::uint64_t to);
  /// Joined stretches, zeros left out: equal contents compare equal.
  std::map<std::uint64_t, Stretch> normal() const;
  friend bool operator==(const Content& a, const Content& b) { return a.normal() == b.normal(); }
  friend std::ostream& operator<<(std::ostream& out, const Content& c);

 private:
  std::map<std::uint64_t, Stretch> at_;  ///< by first byte; not overlapping; gaps are zeros
};

}  // namespace kiseki::model
