#include "net/redis/errc.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace kiseki::net::redis {
namespace {

class Category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "redis"; }
  std::string message(int value) const override {
    switch (static_cast<Errc>(value)) {
      case Errc::unavailable:
        return "Redis cannot be reached";
      case Errc::refused:
        return "Redis refuses requests for now";
      case Errc::full:
        return "the memory of Redis is full";
      case Errc::denied:
        return "Redis denies access";
      case Errc::overloaded:
        return "too many requests wait for Redis";
      case Errc::closed:
        return "the Redis client is closed";
      case Errc::reply_lost:
        return "the connection to Redis broke before the reply came";
      case Errc::timed_out:
        return "Redis did not reply in time";
    }
    return "unknown error";
  }
  std::error_condition default_error_condition(int value) const noexcept override {
    switch (static_cast<Errc>(value)) {
      case Errc::unavailable:
      case Errc::timed_out:
        return std::errc::timed_out;
      case Errc::full:
        return std::errc::no_space_on_device;
      case Errc::denied:
        return std::errc::permission_denied;
      case Errc::overloaded:
        return std::errc::resource_unavailable_try_again;
      case Errc::refused:
      case Errc::closed:
      case Errc::reply_lost:
        break;
    }
    return std::errc::io_error;
  }
};

constexpr std::array<std::string_view, 10> kLater = {"LOADING",  "READONLY",   "MOVED", "ASK",        "CLUSTERDOWN",
                                                     "TRYAGAIN", "MASTERDOWN", "BUSY",  "NOREPLICAS", "MISCONF"};
constexpr std::array<std::string_view, 4> kDenied = {"NOAUTH", "NOPERM", "WRONGPASS", "DENIED"};

template <class List>
bool has(const List& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

std::string_view first_word(std::string_view text) { return text.substr(0, text.find(' ')); }

}  // namespace

const std::error_category& redis_category() noexcept {
  static const Category category;
  return category;
}

bool certainly_not_executed(std::error_code error) noexcept {
  return error.category() == redis_category() && error.value() < static_cast<int>(Errc::reply_lost);
}

std::error_code meaning_of(const Reply& reply) noexcept {
  auto prefix = reply.error_prefix();
  if (prefix.empty()) return {};
  std::string_view text = reply.text;
  if (prefix == "ERR" && text.find("Error running script") != text.npos) {
    // Only a script that has written nothing yet can be killed. Before Redis 7 the true prefix stands after a dash.
    if (text.find("Script killed by user") != text.npos) return Errc::refused;
    auto dash = text.find(": -");
    if (dash != text.npos) prefix = first_word(text.substr(dash + 3));
  }
  if (prefix == "OOM") return Errc::full;
  if (has(kLater, prefix)) return Errc::refused;
  if (has(kDenied, prefix)) return Errc::denied;
  if (text.find("max number of clients") != text.npos || text.find("Script killed by user") != text.npos)
    return Errc::refused;
  return {};
}

}  // namespace kiseki::net::redis
