#pragma once

// Bodies of the templates of core/runtime.hpp; include that one.

#include <optional>
#include <type_traits>
#include <utility>

namespace kiseki {
namespace detail {

/// Awaits `work` and keeps what it returned, so that what drives it need not know T.
template <class T>
asio::awaitable<void> capture(asio::awaitable<T> work, std::optional<T>& out) {
  out.emplace(co_await std::move(work));
}

/// Runs `work` on `where` and blocks this thread until it has ended; rethrows what it threw.
void run_and_wait(asio::any_io_executor where, asio::awaitable<void> work);

}  // namespace detail

template <class T>
T Runtime::wait(asio::awaitable<T> work) {
  if constexpr (std::is_void_v<T>) {
    detail::run_and_wait(executor(0), std::move(work));
  } else {
    std::optional<T> out;
    detail::run_and_wait(executor(0), detail::capture(std::move(work), out));
    return std::move(*out);
  }
}

}  // namespace kiseki
