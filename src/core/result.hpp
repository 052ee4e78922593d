#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/system/result.hpp>
#include <cerrno>
#include <system_error>
#include <type_traits>
#include <utility>

namespace kiseki {

namespace asio = boost::asio;

/// A value or the reason why there is none. Errors are answers: ENOENT is what `lookup` says all day.
/// `Result<bool>` cannot be built from an error code: return an enum instead.
template <class T>
class [[nodiscard]] Result : public boost::system::result<T, std::error_code> {
 public:
  using boost::system::result<T, std::error_code>::result;
};

/// What every fallible asynchronous function returns.
template <class T>
using Async = asio::awaitable<Result<T>>;

/// An errno as an error code.
inline std::error_code posix(int err) { return {err, std::generic_category()}; }

/// The one place an error becomes the kernel's number. Causes of our own say through `default_error_condition` what
/// they mean in POSIX; what means nothing there is EIO.
inline int to_errno(std::error_code ec) {
  auto meaning = ec.default_error_condition();
  return meaning.category() == std::generic_category() ? meaning.value() : EIO;
}

}  // namespace kiseki

#define KISEKI_CONCAT_(a, b) a##b
#define KISEKI_CONCAT(a, b) KISEKI_CONCAT_(a, b)

/// In a coroutine that returns Async<...>: binds the value of `expr` (a Result) or leaves with its error.
#define CO_TRY(binding, ...)                                                                 \
  auto KISEKI_CONCAT(co_try_, __LINE__) = __VA_ARGS__;                                       \
  if (!KISEKI_CONCAT(co_try_, __LINE__)) co_return KISEKI_CONCAT(co_try_, __LINE__).error(); \
  binding = std::move(*KISEKI_CONCAT(co_try_, __LINE__))

/// The same for Result<void>.
#define CO_CHECK(...) \
  if (auto co_check_ = __VA_ARGS__; !co_check_) co_return co_check_.error()

/// In a plain function that returns Result<...>.
#define TRY(binding, ...)                                                           \
  auto KISEKI_CONCAT(try_, __LINE__) = __VA_ARGS__;                                 \
  if (!KISEKI_CONCAT(try_, __LINE__)) return KISEKI_CONCAT(try_, __LINE__).error(); \
  binding = std::move(*KISEKI_CONCAT(try_, __LINE__))

#define TRY_CHECK(...) \
  if (auto try_check_ = __VA_ARGS__; !try_check_) return try_check_.error()
