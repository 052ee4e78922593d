#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "meta/engine.hpp"
#include "meta/redis/scans.hpp"

namespace kiseki::meta::redis {

/// Everyday reads that are asked for in one turn of a loop, gathered: all attributes are one MGET, all look-ups in one
/// directory one script. Many at once cost the server, and us, a fraction of as many commands; one alone is asked as it
/// is. What one caller asks for is still read at one moment.
class FetchGather {
 public:
  /// Attributes, or a look-up: a name and what it stands for.
  static bool takes(const Keys& keys);
  /// As MetaEngine::fetch, or nothing when the caller who asked for all was cancelled: then ask alone. All callers say
  /// the same `resend`.
  Async<std::optional<Records>> fetch(Connected to, Keys keys, net::redis::Resend resend);

 private:
  struct Caller;
  using CallerPtr = std::shared_ptr<Caller>;
  using Callers = std::vector<CallerPtr>;
  class Questions;

  bool leads();
  asio::awaitable<void> lead(Connected to, CallerPtr first, net::redis::Resend resend);
  asio::awaitable<bool> follow(CallerPtr caller);
  static void leave_alone(Callers& callers);

  std::mutex mutex_;   ///< guards the rest: a loop has a gather of its own, but a call may come from anywhere
  bool open_ = false;  ///< a leader is gathering
  Callers callers_;    ///< its followers
};

}  // namespace kiseki::meta::redis
