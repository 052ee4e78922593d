#pragma once

#include <utility>
#include <vector>

#include "meta/engine.hpp"

namespace kiseki::meta {

/// What each user and group owns (sql.md section 7): a walk over the tree, the trash and what is open without a name.
/// Right while nobody changes the volume. Memory grows with owners and hard links.
Async<std::vector<std::pair<QuotaKey, Quota>>> count_owners(MetaEngine& engine);

}  // namespace kiseki::meta
