#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "core/async.hpp"

namespace kiseki::cli {

/// One line that grows on a terminal; nothing anywhere else (JuiceFS: only where standard output is a terminal, and
/// never with DISPLAY_PROGRESSBAR=false).
class Progress {
 public:
  Progress(std::string title, std::uint64_t total);
  void add(std::uint64_t amount = 1) { done_ += amount; }  ///< any thread
  /// Draws several times a second until cancelled.
  asio::awaitable<void> keep_drawing() const;
  void finish() const;  ///< draws the last state and ends the line

 private:
  void draw() const;
  std::string title_;
  std::uint64_t total_;
  std::atomic<std::uint64_t> done_{0};
  bool shown_;
};

}  // namespace kiseki::cli
