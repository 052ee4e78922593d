#pragma once

#include <boost/json/value.hpp>
#include <string>

namespace kiseki::cli {

/// JSON for people: two blanks a level, members in their order.
std::string pretty_json(const boost::json::value& value);

}  // namespace kiseki::cli
