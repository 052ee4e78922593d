#pragma once

#include <utility>
#include <variant>

#include "core/result.hpp"

namespace kiseki {

/// An answer that may be here already. What memory can answer is answered inline, before any coroutine exists; the
/// rest is a coroutine that has not started yet, to be awaited once on the caller's loop.
template <class T>
class [[nodiscard]] Answer {
 public:
  Answer(Result<T> now) : state_(std::move(now)) {}            // NOLINT(google-explicit-constructor)
  Answer(std::error_code error) : state_(Result<T>(error)) {}  // NOLINT(google-explicit-constructor)
  Answer(Async<T> later) : state_(std::move(later)) {}         // NOLINT(google-explicit-constructor)
  bool ready() const { return state_.index() == 0; }
  Result<T>& now() { return std::get<0>(state_); }             ///< only when ready()
  Async<T> later() { return std::move(std::get<1>(state_)); }  ///< only when not ready(), once

  /// Either way, for callers that are coroutines themselves.
  Async<T> get() && {
    if (ready()) return immediately(std::move(now()));
    return later();
  }

 private:
  static Async<T> immediately(Result<T> value) { co_return value; }
  std::variant<Result<T>, Async<T>> state_;
};

}  // namespace kiseki
