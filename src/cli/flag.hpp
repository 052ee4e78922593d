#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cli/failure.hpp"

/// One declarative table of every flag: it drives parsing, --help, the configuration file and the environment.
namespace kiseki::cli {

enum class FlagType : std::uint8_t {
  boolean,
  text,
  integer,   ///< signed, decimal
  count,     ///< unsigned, decimal
  size,      ///< bytes; a bare number counts in Flag::unit
  duration,  ///< bare seconds, 1h30m, 100ms, 2d
  rate,      ///< Mbps; suffix M G T P (powers of 1000)
  ratio,     ///< 0 .. 1
  octal,     ///< permission bits
};

/// What giving a flag does today. A flag that is accepted but not honoured says so in one warning, never silently.
enum class Effect : std::uint8_t { works, none_yet };

struct Flag {
  std::string_view name;     ///< long name: --name, KISEKI_NAME, key of the configuration file
  std::string_view aliases;  ///< comma list of further spellings
  FlagType type = FlagType::boolean;
  std::string_view fallback;  ///< default, in the words of the command line; empty: unset
  std::string_view help;      ///< what it does, one line
  std::string_view group;     ///< heading in --help
  struct More {
    std::string_view allowed =
        {};                     ///< "a|b|c" words, or "LOW..HIGH" in the flag's own notation (either side may be empty)
    char unit = 'B';            ///< size only: unit of a bare number
    std::string_view env = {};  ///< name JuiceFS reads for the value, beside KISEKI_<NAME>
    std::string_view about_env = {};  ///< variable that changes the flag's meaning without being its value
    Effect effect = Effect::works;
    bool hidden = false;
    bool needed = false;  ///< text only: an empty one is refused
  } more = {};
};
using Flags = std::span<const Flag>;

/// The parsed form of a flag's value.
using Value =
    std::variant<std::monostate, bool, std::string, std::int64_t, std::uint64_t, std::chrono::nanoseconds, double>;

/// Turns text into the flag's value and checks what is allowed. `origin` names the place it came from in the sentence
/// ("--buffer-size", "KISEKI_BUFFER_SIZE", "kiseki.toml: mount.buffer-size").
Try<Value> parse_value(const Flag& flag, std::string_view origin, std::string_view text);

/// Whether `word` is this flag's name or one of its aliases.
bool is_named(const Flag& flag, std::string_view word);
std::vector<std::string_view> aliases_of(const Flag& flag);
/// KISEKI_BUFFER_SIZE
std::string environment_name(const Flag& flag);
/// "a size such as 300M" : what a value of this type looks like.
std::string_view type_hint(FlagType type);

/// Flags of every verb.
Flags global_flags();
Flags format_flags();
Flags config_flags();
Flags status_flags();
Flags info_flags();
Flags umount_flags();
Flags objbench_flags();
Flags mdtest_flags();
Flags mount_flags();

}  // namespace kiseki::cli
