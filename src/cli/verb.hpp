#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cli/flag.hpp"

namespace kiseki::cli {

class Settings;

/// One verb of the command line.
struct Verb {
  std::string_view name;
  std::string_view arguments;  ///< "META-URL NAME"
  std::string_view summary;    ///< one line
  std::string_view about;      ///< a paragraph for its help
  std::string_view examples;
  int least = 0, most = 0;  ///< number of arguments
  Flags (*flags)();
  /// Environment and configuration file give values too (not for `config`: there a flag is a change).
  bool outside_values = true;
  bool hidden = false;               ///< not in help
  Try<int> (*run)(const Settings&);  ///< exit code
};

std::span<const Verb> verbs();
const Verb* find_verb(std::string_view name);

/// Bodies of the verbs, one file each.
Try<int> run_format(const Settings&);
Try<int> run_config(const Settings&);
Try<int> run_status(const Settings&);
Try<int> run_info(const Settings&);
Try<int> run_mount(const Settings&);
Try<int> run_umount(const Settings&);
Try<int> run_objbench(const Settings&);
Try<int> run_mdtest(const Settings&);
Try<int> run_version(const Settings&);
Try<int> run_probe(const Settings&);

std::string help_of(const Verb& verb);
std::string help_of_program();
/// "kiseki version 0.1.0+SOURCE (compatible with JuiceFS 1.4.1)"
std::string version_line();

}  // namespace kiseki::cli
