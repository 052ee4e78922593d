#pragma once

#include <string>
#include <vector>

#include "core/runtime.hpp"
#include "object/store.hpp"

namespace kiseki::cli {

/// One line of the functional part of objbench.
struct CheckOutcome {
  std::string category, test;
  std::string result;  ///< "pass", "not support", or what went wrong
  bool failed = false;
};

/// Tries every verb and corner of a store, below its prefix, in JuiceFS's order and under its names. Leaves nothing.
std::vector<CheckOutcome> check_store(object::ObjectStore& store, Runtime& runtime);

}  // namespace kiseki::cli
