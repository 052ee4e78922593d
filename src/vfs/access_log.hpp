#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/async.hpp"
#include "vfs/filesystem.hpp"

namespace kiseki::vfs {

class AccessLog;

/// One open .accesslog. Holds at most kMostLines; what comes beyond them it misses.
class AccessLogReader {
 public:
  static constexpr std::size_t kMostLines = 10240;
  explicit AccessLogReader(AccessLog& log);
  ~AccessLogReader();
  AccessLogReader(const AccessLogReader&) = delete;

  /// The next bytes: gathers for up to a second, or until there are `most`. "#\n" when that second brought none.
  static Async<std::string> read(std::shared_ptr<AccessLogReader> reader, std::size_t most);

 private:
  friend class AccessLog;
  void add(const std::string& line);
  bool full(std::size_t most) const;
  std::string take(std::size_t most);

  AccessLog& log_;
  mutable std::mutex mutex_;  // guards what follows
  std::deque<std::string> lines_;
  std::size_t bytes_ = 0, wanted_ = 0;
  Signal enough_;
};

/// What the file system was asked, one line for each operation, in JuiceFS's format (tools.md 3.3); for those who read
/// it now. Any thread.
class AccessLog {
 public:
  /// The only cost while nobody reads.
  bool is_read() const noexcept { return count_.load(std::memory_order_relaxed) > 0; }
  void write(Caller who, std::string_view operation, std::chrono::nanoseconds took, std::error_code outcome);

 private:
  friend class AccessLogReader;
  void come(AccessLogReader& reader);
  void go(AccessLogReader& reader);
  std::atomic<int> count_{0};
  std::mutex mutex_;  // guards readers_
  std::vector<AccessLogReader*> readers_;
};

}  // namespace kiseki::vfs
