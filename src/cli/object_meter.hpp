#pragma once

#include <memory>

#include "object/metered_store.hpp"

namespace kiseki::cli {

/// Counts object requests into the metrics catalog.
std::shared_ptr<object::RequestMeter> make_object_meter();

}  // namespace kiseki::cli
