#pragma once

#include <boost/system/result.hpp>
#include <string>
#include <system_error>

namespace kiseki::net::redis {

/// Why a server cannot be used, for a person: one sentence that names the thing and what to do.
struct Failure {
  std::error_code code;
  std::string message;
};

/// A value or the sentence why there is none; for start-up paths, where an errno alone helps nobody.
template <class T>
using Explained = boost::system::result<T, Failure>;

[[noreturn]] void throw_exception_from_error(const Failure& failure, const boost::source_location& where);

}  // namespace kiseki::net::redis
