#pragma once

#include <memory>
#include <string>
#include <string_view>

/// Where the lines of core/log.hpp go.
namespace kiseki::log {

/// A file, or standard error. Lines are whole when they arrive; several processes may share the file. Any thread.
class Output {
 public:
  explicit Output(const std::string& path);  ///< empty: standard error. Throws std::runtime_error
  ~Output();
  Output(const Output&) = delete;
  /// All of it, or as much as the descriptor takes: waits while a pipe is full, gives up on errors.
  void write(std::string_view line) const noexcept;

 private:
  int fd_ = 2;
};
using OutputPtr = std::shared_ptr<const Output>;

class LineQueue;

/// While it lives, a thread of its own writes the lines of this process, so that whoever logs never waits for a pipe
/// that nobody reads. At most kMostLines wait; what comes beyond them is dropped, and counted in a line of its own. The
/// end waits for what is queued, two seconds at most; a crash writes what it can. One at a time; a process with one
/// must not fork and go on.
class Background {
 public:
  static constexpr std::size_t kMostLines = 8192;
  Background();
  ~Background();
  Background(const Background&) = delete;

 private:
  std::shared_ptr<LineQueue> queue_;
};

/// Hands a line, with its newline, to the thread; false: there is none, write it yourself.
bool queue_line(const OutputPtr& output, std::string_view line);

}  // namespace kiseki::log
