#pragma once

#include <spdlog/fmt/fmt.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <system_error>

/// One line per event: a stable name (`object.put.retry`) and fields. error: an operator must act; warn: degraded,
/// still served; info: lifecycle; debug: per request. Log where an error is translated or swallowed, nowhere else.
/// Thread-safe.
namespace kiseki::log {

struct Field {
  std::string_view key;
  std::string value;
  template <class T>
  Field(std::string_view k, const T& v) : key(k), value(fmt::format("{}", v)) {}
  Field(std::string_view k, std::error_code ec) : key(k), value(ec.message()) {}
};
using Fields = std::initializer_list<Field>;

enum class Level { debug, info, warn, error };
struct Options {
  Level level = Level::info;
  bool json = false;
  std::string file{};  ///< empty: standard error
};
void configure(const Options& options);  ///< throws std::runtime_error when the file cannot be opened
bool enabled(Level level) noexcept;
void write(Level level, std::string_view event, Fields fields);

inline void debug(std::string_view event, Fields fields = {}) {
  if (enabled(Level::debug)) write(Level::debug, event, fields);
}
inline void info(std::string_view event, Fields fields = {}) { write(Level::info, event, fields); }
inline void warn(std::string_view event, Fields fields = {}) { write(Level::warn, event, fields); }
inline void error(std::string_view event, Fields fields = {}) { write(Level::error, event, fields); }

}  // namespace kiseki::log
