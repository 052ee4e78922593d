#pragma once

#include <boost/system/result.hpp>
#include <string>
#include <system_error>
#include <utility>

#include "core/result.hpp"

namespace kiseki::cli {

enum class Exit { failed = 1, unknown_verb = 3 };  ///< exit codes, as JuiceFS has them

/// Why a verb ends early: the exit code of the process, and one sentence for a person.
struct Failure {
  Exit exit = Exit::failed;
  std::string sentence;
};

/// A value, or the sentence that goes to standard error. `TRY` and `CO_TRY` work on it.
template <class T>
using Try = boost::system::result<T, Failure>;

/// "open /x: Permission denied": what was tried, then the system's word for it.
inline Failure failure(std::string what, std::error_code why) {
  return Failure{Exit::failed, std::move(what) + ": " + why.message()};
}

}  // namespace kiseki::cli
