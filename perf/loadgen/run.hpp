#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "histogram.hpp"

namespace loadgen {

/// What the command line asked for. A row uses the fields it needs.
struct Options {
  std::string row;
  std::string dir;  ///< an existing directory of the file system under test
  unsigned threads = 1;
  double seconds = 0;         ///< run this long; 0: until `count` operations are done
  std::uint64_t count = 0;    ///< operations (or files) in all threads together
  std::uint64_t size = 4096;  ///< bytes of a file
  unsigned rounds = 1;        ///< how often a listing is repeated
  std::string drop;           ///< command run between the rounds of a listing, outside the timed part
  std::string prefix = "s";   ///< file names are PREFIX and a number
  bool private_dirs = false;  ///< every thread works in a directory of its own
};

struct Outcome {
  std::uint64_t operations = 0;
  std::uint64_t errors = 0;
  int first_errno = 0;
  double seconds = 0;
  Histogram latency;
};

/// One timed operation. `thread` counts from 0; `index` is unique over all threads. Answers 0 or an errno.
using Operation = std::function<int(unsigned thread, std::uint64_t index)>;

/// Calls `operation` from all threads, which start together, until the time or the count of `options` is used up.
Outcome run_threads(const Options& options, const Operation& operation);

/// Runs the row that `options` names. Throws std::runtime_error when the row is unknown or cannot be prepared.
Outcome run_row(const Options& options);

/// Writes a source-like tree of `options.count` files below `options.dir`: the same bytes at every call.
Outcome make_tree(const Options& options);

}  // namespace loadgen
