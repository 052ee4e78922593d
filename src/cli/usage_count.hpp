#pragma once

#include <cstdint>

#include "core/result.hpp"
#include "meta/engine.hpp"

namespace kiseki::cli {

struct CountedBytes {
  std::uint64_t count = 0, bytes = 0;
};
struct Leftovers {  ///< what a volume still holds of deleted files
  CountedBytes trash_files, deleted_files, delayed_slices, dead_slices;
};

/// Walks the trash and the lists of what waits for deletion (`status --more`).
Async<Leftovers> count_leftovers(meta::MetaEngine& engine);

}  // namespace kiseki::cli
