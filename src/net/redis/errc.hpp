#pragma once

#include <string_view>
#include <system_error>

#include "net/redis/reply.hpp"

namespace kiseki::net::redis {

/// Why a request has no replies. What the caller must know above all is whether it may have been executed.
enum class Errc {
  // Certainly not executed:
  unavailable = 1,  ///< no connection within the deadline (ETIMEDOUT)
  refused,          ///< the server kept answering "not now" until the deadline: loading, read-only, no quorum (EIO)
  full,             ///< -OOM: the server's memory is full (ENOSPC)
  denied,           ///< the server does not let this user do it (EACCES)
  overloaded,       ///< too many requests wait already (EAGAIN)
  closed,           ///< this client is shut (EIO)
  // Perhaps executed:
  reply_lost,  ///< the connection broke after sending (EIO)
  timed_out,   ///< sent, and no reply within the deadline (ETIMEDOUT)
};

const std::error_category& redis_category() noexcept;
inline std::error_code make_error_code(Errc error) { return {static_cast<int>(error), redis_category()}; }

/// True when the request behind this error has changed nothing for certain. An error of any other kind, ECANCELED
/// among them, says nothing: the request may have been executed.
bool certainly_not_executed(std::error_code error) noexcept;

/// What an error reply means: `full` for -OOM, `denied` for -NOPERM and its like, `refused` for what a later attempt
/// may not meet again (-LOADING, -READONLY, -MOVED, ...). No error for other replies, and for errors that only the
/// caller understands (-WRONGTYPE, -ERR, what a script raised).
std::error_code meaning_of(const Reply& reply) noexcept;

}  // namespace kiseki::net::redis

template <>
struct std::is_error_code_enum<kiseki::net::redis::Errc> : std::true_type {};
