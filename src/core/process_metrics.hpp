#pragma once

// Internal to core.

#include <vector>

namespace kiseki::metrics::detail {

struct ProcessValue {
  const char* name;
  const char* help;
  double value;
  bool counter;
};

/// What the kernel says about this process now. What it does not say is absent.
std::vector<ProcessValue> process_values();

}  // namespace kiseki::metrics::detail
