#pragma once

#include <vector>

#include "meta/client.hpp"

namespace kiseki::model {

/// Counts usage, directory sums and slice references of a volume from its trees and chunks, and compares them to what
/// is stored. Failures are the test's. Nothing may be open.
asio::awaitable<void> expect_exact_counts(meta::MetaEngine& engine);

}  // namespace kiseki::model
