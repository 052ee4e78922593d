#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "core/result.hpp"
#include "meta/record.hpp"

namespace kiseki::meta {

class Client;

/// The directory of the trash for what is removed in the current hour (UTC), named YYYY-MM-DD-HH, made on demand.
/// Thread-safe.
class TrashHour {
 public:
  /// Its inode. With `again` a remembered one is looked up anew (somebody removed it).
  Async<Ino> directory(Client& client, bool again = false);

  static std::string name_of(std::int64_t seconds);
  /// The hour such a name stands for, in seconds since 1970; nothing for other names.
  static std::optional<std::int64_t> hour_of(const std::string& name);

 private:
  std::mutex mutex_;  // guards the rest
  std::int64_t hour_ = -1;
  Ino ino_;
};

}  // namespace kiseki::meta
