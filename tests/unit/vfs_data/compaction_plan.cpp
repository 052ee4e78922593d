#include "vfs/compaction_plan.hpp"

#include <gtest/gtest.h>

#include <random>

namespace kiseki::vfs {
namespace {

using chunk::ChunkView;
using chunk::Stretch;
constexpr std::uint32_t kMib = 1 << 20;

/// `times` small records, each at `pos`.
Slices small_ones(std::uint32_t pos, std::uint32_t times) {
  Slices records;
  for (std::uint32_t i = 0; i < times; ++i) records.push_back({pos, SliceId{1000 + i}, 10, 0, 10});
  return records;
}

Slices joined(Slices list, const Slices& more) {
  list.insert(list.end(), more.begin(), more.end());
  return list;
}

TEST(CompactionPlan, TakesAtLeastTwoRecords) {
  EXPECT_FALSE(plan_compaction({}));
  EXPECT_FALSE(plan_compaction({{0, SliceId{1}, 10, 0, 10}}));
  auto small = plan_compaction({{0, SliceId{1}, 10, 0, 10}, {5, SliceId{2}, 10, 0, 10}});
  ASSERT_TRUE(small);
  EXPECT_EQ(small->first, 0u);
  EXPECT_EQ(small->count, 2u);
  EXPECT_EQ(small->stretches, (std::vector<Stretch>{{0, 15}}));
}

TEST(CompactionPlan, LeavesBigLeadingSlices) {
  Slices big{{0, SliceId{1}, 4 * kMib, 0, 4 * kMib}};
  // A big first slice, untouched, then two small appends: only the small ones move.
  auto append =
      plan_compaction(joined(big, {{4 * kMib, SliceId{2}, 10, 0, 10}, {4 * kMib + 10, SliceId{3}, 10, 0, 10}}));
  ASSERT_TRUE(append);
  EXPECT_EQ(append->first, 1u);
  EXPECT_EQ(append->stretches, (std::vector<Stretch>{{4 * kMib, 4 * kMib + 20}}));
  // However far away they are: the hole between does not move.
  auto far = plan_compaction(joined(big, small_ones(60 * kMib, 2)));
  ASSERT_TRUE(far);
  EXPECT_EQ(far->first, 1u);
  // Something of it is covered, by a hole too, or something lies before it: all of it moves.
  big.front().pos = kMib;
  for (Slice over : {Slice{0, SliceId{2}, 10, 0, 10}, Slice{2 * kMib, SliceId{0}, 0, 0, kMib}}) {
    auto all = plan_compaction(joined(joined(big, {over}), small_ones(6 * kMib, 5)));
    ASSERT_TRUE(all);
    EXPECT_EQ(all->first, 0u);
  }
}

TEST(CompactionPlan, HolesStayHoles) {
  Slices twice{{100, SliceId{1}, 10, 0, 10},
               {0, SliceId{0}, 0, 0, 50},
               {90'000, SliceId{2}, 10, 0, 10},
               {200, SliceId{0}, 0, 0, 1000}};
  auto plan = plan_compaction(twice);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->count, 4u);
  EXPECT_EQ(plan->stretches, (std::vector<Stretch>{{100, 110}, {90'000, 90'010}}));
  EXPECT_EQ(plan->bytes(), 20u);
  EXPECT_EQ(plan->records(SliceId{7}), (Slices{{100, SliceId{7}, 20, 0, 10}, {90'000, SliceId{7}, 20, 10, 10}}));
  auto holes = plan_compaction({{0, SliceId{0}, 0, 0, 50}, {0, SliceId{0}, 0, 0, 50}});
  ASSERT_TRUE(holes);
  EXPECT_TRUE(holes->stretches.empty() && holes->records(SliceId{7}).empty());
}

TEST(CompactionPlan, HalvesTheListOrLeavesIt) {
  auto rewritten = joined(joined(small_ones(0, 1), small_ones(90'000, 1)), small_ones(0, 1));
  EXPECT_FALSE(plan_compaction(rewritten)) << "two of three would stay";
  EXPECT_TRUE(plan_compaction(joined(rewritten, small_ones(0, 1))));
}

TEST(CompactionPlan, FillsTheSmallestOfTooManyHoles) {
  Slices scattered;
  for (int turn = 0; turn < 2; ++turn)
    for (std::uint32_t i = 0; i < 200; ++i) scattered.push_back({i * (i + 9) * 4096 / 4, SliceId{1 + i}, 100, 0, 100});
  auto before = ChunkView::of(scattered).data();
  ASSERT_GT(before.size(), kMostStretches);
  auto plan = plan_compaction(scattered);
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->stretches.size(), kMostStretches);
  // They grow towards the end: the last stretches are as they were, the first became one.
  std::vector<Stretch> kept(before.end() - static_cast<std::ptrdiff_t>(kMostStretches) + 1, before.end());
  EXPECT_TRUE(std::equal(kept.begin(), kept.end(), plan->stretches.begin() + 1));
  EXPECT_EQ(plan->stretches.front().begin, before.front().begin);
  EXPECT_EQ(plan->stretches.front().end, before[before.size() - kMostStretches].end);
}

/// Whatever the list: what it shows lies in the same places afterwards, and another pass finds nothing to do.
TEST(CompactionPlan, RandomListsShowTheSamePlaces) {
  int planned = 0;
  for (unsigned seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 generator(seed);
    auto random = [&](std::uint32_t below) { return static_cast<std::uint32_t>(generator() % below); };
    auto span = 1u << (14 + random(12));
    Slices list;
    for (std::uint32_t i = 0, count = random(120); i < count; ++i) {
      auto pos = random(span), longest = random(4) ? 10'000u : 4 * kMib;
      auto len = std::min(1 + random(std::min(span, longest)), static_cast<std::uint32_t>(kChunkBytes) - pos);
      if (random(4) > 0)
        list.push_back({pos, SliceId{1 + i}, len + 10, random(10), len});
      else
        list.push_back({pos, SliceId{0}, 0, 0, len});
    }
    auto plan = plan_compaction(list);
    if (!plan) continue;
    ++planned;
    auto after = list;
    auto at = after.erase(after.begin() + plan->first, after.begin() + plan->first + plan->count);
    auto records = plan->records(SliceId{9999});
    after.insert(at, records.begin(), records.end());
    EXPECT_EQ(ChunkView::of(after).data(), ChunkView::of(list).data());
    EXPECT_FALSE(plan_compaction(after));
    std::uint64_t shown = 0;
    auto view = ChunkView::of(after);
    for (const auto& piece : view.pieces()) shown += piece.id == SliceId{9999} ? piece.len : 0;
    EXPECT_EQ(shown, plan->bytes()) << "nothing of the new slice is hidden";
  }
  EXPECT_GT(planned, 150);
}

}  // namespace
}  // namespace kiseki::vfs
