#include "content.hpp"

#include <algorithm>

namespace kiseki::model {

void Content::paint(std::uint64_t begin, std::uint64_t end, std::uint64_t id, std::uint64_t offset) {
  if (begin >= end) return;
  std::map<std::uint64_t, Stretch> kept;
  for (auto& [from, s] : at_) {
    if (from < begin) kept[from] = {std::min(s.end, begin), s.id, s.offset};
    if (s.end > end) kept[std::max(from, end)] = {s.end, s.id, s.offset + (std::max(from, end) - from)};
  }
  if (id != 0) kept[begin] = {end, id, offset};
  at_ = std::move(kept);
}

void Content::copy(const Content& source, std::uint64_t from, std::uint64_t size, std::uint64_t to) {
  auto snapshot = source.at_;
  zero(to, to + size);
  for (auto& [begin, s] : snapshot) {
    auto b = std::max(begin, from), e = std::min(s.end, from + size);
    if (b < e) paint(to + (b - from), to + (e - from), s.id, s.offset + (b - begin));
  }
}

std::map<std::uint64_t, Content::Stretch> Content::normal() const {
  std::map<std::uint64_t, Stretch> joined;
  for (auto& [from, s] : at_) {
    if (s.id == 0) continue;
    if (!joined.empty()) {
      auto& [last_from, last] = *joined.rbegin();
      if (last.end == from && last.id == s.id && last.offset + (last.end - last_from) == s.offset) {
        last.end = s.end;
        continue;
      }
    }
    joined[from] = s;
  }
  return joined;
}

std::ostream& operator<<(std::ostream& out, const Content& c) {
  for (auto& [from, s] : c.normal()) out << "[" << from << "," << s.end << ")=" << s.id << "+" << s.offset << " ";
  return out;
}

}  // namespace kiseki::model
