#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kiseki::net::redis {

using Strings = std::vector<std::string>;

/// A Lua script by its SHA-1. Cheap to copy; make each one once.
class Script {
 public:
  explicit Script(std::string body);
  const std::string& body() const { return text_->body; }
  const std::string& sha() const { return text_->sha; }  ///< 40 lower-case hex digits

 private:
  struct Text {
    std::string body, sha;
  };
  std::shared_ptr<const Text> text_;
};

/// One command with its arguments, encoded for the wire as they are added. Arguments are any bytes; integers go as
/// decimal text.
class Command {
 public:
  template <class... Args>
  explicit Command(std::string_view name, const Args&... args) {
    add(name);
    (add(args), ...);
  }
  /// EVALSHA; when the server does not know the script, the client sends its body instead (EVAL) by itself.
  static Command eval(const Script& script, const Strings& keys, const Strings& args);

  Command& add(std::string_view argument);
  Command& add(std::integral auto number) { return add(std::string_view(std::to_string(number))); }

  std::uint32_t arguments() const { return count_; }
  std::size_t wire_size() const;           ///< bytes, at most
  void append_to(std::string& out) const;  ///< as RESP
  /// Of an `eval`: appends EVAL with the body of the script. False (and nothing happens) for other commands.
  bool append_with_body_to(std::string& out) const;

 private:
  Command() = default;
  std::string encoded_;  // the arguments; of an `eval` those after the script
  std::uint32_t count_ = 0;
  std::optional<Script> script_;
};

using Commands = std::vector<Command>;

}  // namespace kiseki::net::redis
