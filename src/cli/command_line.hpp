#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/verb.hpp"

namespace kiseki::cli {

/// A flag as it was given; `origin` is how the user wrote it ("--buffer-size").
struct GivenFlag {
  const Flag* flag = nullptr;
  std::string origin, text;
};

struct CommandLine {
  const Verb* verb = nullptr;  ///< null: none was named
  std::vector<std::string> arguments;
  std::vector<GivenFlag> given;  ///< in order; the last of a flag wins
};

/// Reads words in JuiceFS's manner: flags anywhere, one or two dashes alike, `--x V` or `--x=V`, bools also
/// `--x=false`, no abbreviations, no bundling. Global flags are picked out wherever they stand. Exit code 3 for an
/// unknown verb.
Try<CommandLine> parse_command_line(const std::vector<std::string>& words);

/// `mount.kiseki URL MOUNTPOINT [-sfnv] [-o OPTIONS]`, as mount(8) calls it, in the words of `kiseki mount`.
/// Fewer than two arguments give a command line that asks for help.
std::vector<std::string> words_of_mount_helper(const std::vector<std::string>& words);

/// What `-o` says: flags of the command line (any flag may stand there), and options for the kernel's mount.
struct MountOptions {
  std::vector<GivenFlag> flags;
  std::vector<std::string> kernel;  ///< handed on: noatime, nodev, ...
  bool allow_other = false, read_only = false, writeback_cache = false;
  bool remount = false, writable = false;  ///< writable: rw was said, which only a remount can mean
};
Try<MountOptions> parse_mount_options(std::string_view list);

}  // namespace kiseki::cli
