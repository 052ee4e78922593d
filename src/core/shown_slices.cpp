#include "core/shown_slices.hpp"

#include <algorithm>

namespace kiseki {

namespace {

/// A slice record as an interval of the chunk.
struct Interval {
  std::uint64_t begin = 0, end = 0;
  std::uint32_t age = 0;  ///< index in the list: higher covers lower
};

std::vector<Interval> intervals_of(const Slices& records) {
  std::vector<Interval> intervals;
  intervals.reserve(records.size());
  for (std::uint32_t i = 0; i < records.size(); ++i) {
    const auto& record = records[i];
    auto end = std::min<std::uint64_t>(std::uint64_t{record.pos} + record.len, kChunkBytes);
    if (end > record.pos) intervals.push_back({record.pos, end, i});
  }
  std::sort(intervals.begin(), intervals.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  return intervals;
}

class PieceList {
 public:
  explicit PieceList(Slices& out) : out_(out) {}

  void show(const Slice& record, std::uint64_t begin, std::uint64_t end) {
    if (record.id.value == 0) return;
    auto off = record.off + (begin - record.pos);
    end = std::min(end, begin + (off < record.size ? record.size - off : 0));
    if (begin >= end) return;
    auto len = static_cast<std::uint32_t>(end - begin);
    if (continues_last(record, begin, off)) {
      out_.back().len += len;
    } else {
      out_.push_back({static_cast<std::uint32_t>(begin), record.id, record.size, static_cast<std::uint32_t>(off), len});
    }
  }

 private:
  bool continues_last(const Slice& record, std::uint64_t begin, std::uint64_t off) const {
    if (out_.empty()) return false;
    const auto& last = out_.back();
    return last.id == record.id && last.size == record.size && std::uint64_t{last.pos} + last.len == begin &&
           std::uint64_t{last.off} + last.len == off;
  }
  Slices& out_;
};

}  // namespace

Slices shown_slices(const Slices& records) {
  Slices shown;
  auto waiting = intervals_of(records);
  std::vector<Interval> open;  // a heap with the youngest on top; ended ones leave when they surface
  auto older = [](const Interval& a, const Interval& b) { return a.age < b.age; };
  PieceList pieces(shown);
  std::uint64_t at = 0;
  for (std::size_t next = 0;;) {
    while (!open.empty() && open.front().end <= at) {
      std::pop_heap(open.begin(), open.end(), older);
      open.pop_back();
    }
    if (open.empty()) {
      if (next == waiting.size()) return shown;
      at = waiting[next].begin;
    }
    for (; next < waiting.size() && waiting[next].begin <= at; ++next) {
      open.push_back(waiting[next]);
      std::push_heap(open.begin(), open.end(), older);
    }
    auto top = open.front();
    auto stop = next < waiting.size() ? std::min(top.end, waiting[next].begin) : top.end;
    pieces.show(records[top.age], at, stop);
    at = stop;
  }
}

}  // namespace kiseki
