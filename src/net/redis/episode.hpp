#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <string_view>

namespace kiseki::net::redis {

/// A time of trouble that the log mentions twice: when it begins and when it is over. Any thread.
class Episode {
 public:
  /// `begins` and `over` are names of events.
  Episode(std::string_view begins, std::string_view over, std::string server);
  void trouble(const std::string& what);
  void good() noexcept;  ///< cheap when nothing is wrong

 private:
  const std::string_view begins_, over_;
  const std::string server_;
  std::mutex mutex_;  ///< guards `since_`
  std::atomic<bool> bad_{false};
  std::chrono::steady_clock::time_point since_;
};

}  // namespace kiseki::net::redis
