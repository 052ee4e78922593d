#pragma once

// Internal to net/redis. Heavy: include from .cpp files and from headers that only such files include.

#include <chrono>
#include <cstdint>
#include <memory>
#include <system_error>
#include <vector>

#include "core/waiter.hpp"
#include "net/redis/client.hpp"

namespace kiseki::net::redis {

using SteadyTime = std::chrono::steady_clock::time_point;

/// One batch on its way, shared by the coroutine that waits for it and the lane that carries it. Everything but the
/// waiter is the lane's until the waiter is resumed.
struct Request {
  Request(Commands c, Resend r, SteadyTime d, bool w = false)
      : commands(std::move(c)), resend(r), deadline(d), waits(w) {}

  const Commands commands;
  const Resend resend;
  const SteadyTime deadline;
  const bool waits;  ///< the last command is a WAIT for what the others did
  detail::Waiter waiter;
  Replies replies;        ///< one for each command, as far as they have come
  std::error_code error;  ///< why there are none
  bool ended = false;     ///< the waiter was told

  // Of the attempt under way:
  std::vector<std::uint32_t> part;  ///< the commands it sends; empty: all
  std::size_t answered = 0;
  bool with_bodies = false;  ///< scripts go as text, not by their digest
  unsigned attempts = 0;     ///< that the server refused
  SteadyTime not_before{};   ///< while it waits for the next one

  std::size_t sent_commands() const { return part.empty() ? commands.size() : part.size(); }
  std::size_t index(std::size_t nth) const { return part.empty() ? nth : part[nth]; }
  bool whole() const { return answered == sent_commands(); }
  void take(Reply reply) {
    if (replies.size() < commands.size()) replies.resize(commands.size());
    replies[index(answered++)] = std::move(reply);
  }
  std::size_t append_to(std::string& out) const;  ///< as RESP; answers the size of the first command
  /// Makes ready for an attempt that sends `which` (empty: all).
  void restart(std::vector<std::uint32_t> which, bool bodies) {
    part = std::move(which);
    answered = 0;
    with_bodies = bodies;
  }

  void end(std::error_code why = {}) {
    if (std::exchange(ended, true)) return;
    error = why;
    if (waiter.claim()) waiter.resume(true);
  }
};

using RequestPtr = std::shared_ptr<Request>;

/// What to do with a request once all its replies are there.
enum class Verdict {
  done,    ///< they are the answer
  bodies,  ///< the server forgot a script: send those commands again with their bodies, now
  later,   ///< the server said "not now" and nothing (that matters) was executed: send it again after a pause
};
/// Also prepares the next attempt. `refusal`: the reply that says why, for `later`.
Verdict judge(Request& request, const Reply*& refusal);

}  // namespace kiseki::net::redis
