#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "meta/failure.hpp"

namespace kiseki::meta::sqlite {

/// What `sqlite3://PATH[?k=v&...]` says; JuiceFS's keys and defaults (sql.md sections 1 and 2).
struct Location {
  std::string path;                    ///< as given: relative to the working directory, or absolute
  std::string prefix = "jfs_";         ///< of every table: `jfs_` or, with table_prefix=x, `jfs_x_`
  std::string journal = "WAL";         ///< _journal, _journal_mode
  std::string synchronous = "NORMAL";  ///< _sync, _synchronous: OFF, NORMAL, FULL, EXTRA
  /// How long to wait for another process's write lock before ETIMEDOUT: _timeout, _busy_timeout (ms).
  std::chrono::milliseconds patience{120'000};

  /// Unknown keys and bad values are errors that name them.
  static Explained<Location> parse(std::string_view url);
};

}  // namespace kiseki::meta::sqlite
