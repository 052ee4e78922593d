#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "chunk/chunk_view.hpp"

namespace kiseki::vfs {

/// Part of a slice list, and the one new slice that is to hold what it shows: its data stretch by stretch, without the
/// holes between. Where nothing is written for a hole nothing lies below either: what stays in front of the run shows
/// every byte of itself, so no record of the run covers it.
struct CompactionPlan {
  std::uint32_t first = 0, count = 0;     ///< records [first, first + count)
  std::vector<chunk::Stretch> stretches;  ///< bytes of the chunk, in order; none: only holes are left

  std::uint32_t bytes() const;       ///< of the new slice
  Slices records(SliceId id) const;  ///< that show it
};

/// Stretches a compaction leaves of a chunk at most: the smallest holes between more of them are filled with zeros.
inline constexpr std::size_t kMostStretches = 128;

/// What of a chunk is worth compacting: at most 1000 records; big leading ones that are fully visible stay (JuiceFS's
/// policy, sql.md 12, by the data that would move); holes stay holes. Nothing when fewer than two records would go, or
/// when not at least half of them would: a chunk of many holes is rewritten as seldom as one without.
std::optional<CompactionPlan> plan_compaction(const Slices& records);

}  // namespace kiseki::vfs
