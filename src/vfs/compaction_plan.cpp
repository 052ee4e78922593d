#include "vfs/compaction_plan.hpp"

#include <algorithm>

namespace kiseki::vfs {

namespace {

constexpr std::size_t kMostRecords = 1000;
constexpr std::uint32_t kBigBytes = 1 << 20;

std::uint32_t bytes_of(const std::vector<chunk::Stretch>& stretches) {
  std::uint32_t bytes = 0;
  for (auto stretch : stretches) bytes += stretch.size();
  return bytes;
}

/// Leading records that are big against the rest, show all of themselves and lie before everything else: moving them
/// would cost more than it gains.
std::uint32_t leading_big(const Slices& records) {
  std::uint32_t skipped = 0;
  for (; skipped < records.size(); ++skipped) {
    const auto& first = records[skipped];
    if (first.id.value == 0 || first.len < kBigBytes) break;
    auto view = chunk::ChunkView::of(Slices(records.begin() + skipped, records.end()));
    if (view.pieces().empty()) break;
    const auto& front = view.pieces().front();
    bool intact = front.id == first.id && front.pos == first.pos && front.off == first.off && front.len >= first.len;
    if (!intact || std::uint64_t{first.len} * 5 < bytes_of(view.data())) break;
  }
  return skipped;
}

/// Fills the smallest holes, so that no more than `most` stretches are left.
void fill_smallest_holes(std::vector<chunk::Stretch>& stretches, std::size_t most) {
  if (stretches.size() <= most) return;
  std::vector<std::size_t> after(stretches.size() - 1);  // hole i lies behind stretch i
  for (std::size_t i = 0; i < after.size(); ++i) after[i] = i;
  auto smaller = [&](std::size_t a, std::size_t b) {
    auto of = [&](std::size_t i) { return stretches[i + 1].begin - stretches[i].end; };
    return std::pair(of(a), a) < std::pair(of(b), b);
  };
  auto filled = static_cast<std::ptrdiff_t>(stretches.size() - most);
  std::nth_element(after.begin(), after.begin() + filled, after.end(), smaller);
  std::sort(after.begin(), after.begin() + filled);
  std::vector<chunk::Stretch> left{stretches.front()};
  auto next = after.begin();
  for (std::size_t i = 1; i < stretches.size(); ++i) {
    bool joined = next != after.begin() + filled && *next == i - 1;
    if (joined) ++next, left.back().end = stretches[i].end;
    if (!joined) left.push_back(stretches[i]);
  }
  stretches = std::move(left);
}

}  // namespace

std::uint32_t CompactionPlan::bytes() const { return bytes_of(stretches); }

Slices CompactionPlan::records(SliceId id) const {
  Slices records;
  std::uint32_t off = 0, size = bytes();
  for (auto stretch : stretches) {
    records.push_back({stretch.begin, id, size, off, stretch.size()});
    off += stretch.size();
  }
  return records;
}

std::optional<CompactionPlan> plan_compaction(const Slices& all) {
  Slices records(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(std::min(all.size(), kMostRecords)));
  CompactionPlan plan;
  plan.first = leading_big(records);
  plan.count = static_cast<std::uint32_t>(records.size()) - plan.first;
  if (plan.count < 2) return std::nullopt;
  plan.stretches = chunk::ChunkView::of(Slices(records.begin() + plan.first, records.end())).data();
  fill_smallest_holes(plan.stretches, kMostStretches);
  if (plan.stretches.size() * 2 > plan.count) return std::nullopt;
  return plan;
}

}  // namespace kiseki::vfs
