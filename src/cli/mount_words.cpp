// What mount(8) and fstab say, in the words of `kiseki mount`.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "cli/command_line.hpp"

namespace kiseki::cli {
namespace {

using std::string_view;

// Names of options from before JuiceFS 1.0.
constexpr std::array<std::pair<string_view, string_view>, 3> kOldNames = {
    {{"attrcacheto", "attr-cache"}, {"entrycacheto", "entry-cache"}, {"direntrycacheto", "dir-entry-cache"}}};

// Meant for mount(8), systemd and people; none of them changes what we do.
constexpr string_view kDropped[] = {
    "_netdev", "nofail", "defaults", "background", "auto",     "noauto",   "user",
    "nouser",  "users",  "owner",    "group",      "nonempty", "async_dio"};  // always agreed with the kernel

// Options of every mount that the kernel or fusermount understands.
constexpr string_view kKernel[] = {"nosuid",
                                   "suid",
                                   "nodev",
                                   "dev",
                                   "noexec",
                                   "exec",
                                   "noatime",
                                   "atime",
                                   "sync",
                                   "async",
                                   "dirsync",
                                   "relatime",
                                   "norelatime",
                                   "strictatime",
                                   "lazytime",
                                   "nolazytime",
                                   "nodiratime",
                                   "diratime",
                                   "default_permissions",
                                   "auto_unmount"};

constexpr string_view kIgnoredWithValue[] = {"fsname", "subtype", "max_read", "comment", "blksize"};

template <class Range>
bool contains(const Range& range, string_view word) {
  return std::find(std::begin(range), std::end(range), word) != std::end(range);
}

const Flag* mount_flag(string_view name) {
  for (Flags flags : {mount_flags(), global_flags()}) {
    for (const Flag& flag : flags) {
      if (is_named(flag, name) && flag.name != "o") return &flag;
    }
  }
  return nullptr;
}

/// Options of FUSE itself; they come before flags of the same name.
bool take_fuse_option(MountOptions& out, string_view name) {
  if (name == "allow_other" || name == "allow_root") return out.allow_other = true;
  if (name == "ro") return out.read_only = true;
  if (name == "rw") return out.writable = true;
  if (name == "remount") return out.remount = true;
  if (name == "writeback_cache") return out.writeback_cache = true;
  return false;
}

Try<void> take_flag(MountOptions& out, const Flag& flag, string_view name, string_view value, bool has_value) {
  if (!has_value && flag.type != FlagType::boolean) {
    return Failure{Exit::failed, fmt::format("-o {}: a value is missing; allowed: {}", name, type_hint(flag.type))};
  }
  out.flags.push_back({&flag, fmt::format("-o {}", name), has_value ? std::string(value) : "true"});
  return boost::system::in_place_value;
}

Try<void> take(MountOptions& out, string_view option) {
  auto equals = option.find('=');
  bool has_value = equals != string_view::npos;
  string_view name = option.substr(0, equals), value = has_value ? option.substr(equals + 1) : string_view();
  for (auto [old, current] : kOldNames) {
    if (name == old) name = current;
  }
  if (name.starts_with("x-") || contains(kDropped, option)) return boost::system::in_place_value;
  if (!has_value && take_fuse_option(out, name)) return boost::system::in_place_value;
  if (has_value && contains(kIgnoredWithValue, name)) return boost::system::in_place_value;
  if (const Flag* flag = mount_flag(name)) return take_flag(out, *flag, name, value, has_value);
  if (contains(kKernel, option)) return out.kernel.emplace_back(option), Try<void>(boost::system::in_place_value);
  return Failure{
      Exit::failed,
      fmt::format("-o {}: unknown mount option; allowed: flags of kiseki mount without dashes, allow_other, ro, "
                  "and mount(8)'s nosuid, nodev, noexec, noatime and the like",
                  option)};
}

}  // namespace

Try<MountOptions> parse_mount_options(string_view list) {
  MountOptions out;
  while (!list.empty()) {
    auto comma = list.find(',');
    if (auto option = list.substr(0, comma); !option.empty()) {
      if (auto taken = take(out, option); !taken) return taken.error();
    }
    list = comma == string_view::npos ? string_view() : list.substr(comma + 1);
  }
  return out;
}

std::vector<std::string> words_of_mount_helper(const std::vector<std::string>& words) {
  std::vector<std::string> out{"mount", "-d"}, arguments;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "-o" && i + 1 < words.size()) {
      out.push_back(word);
      out.push_back(words[++i]);
    } else if ((word == "-t" || word == "-N") && i + 1 < words.size()) {
      ++i;  // the type we are called by; a namespace mount(8) has already entered
    } else if (word == "-s" || word == "-n" || word == "-v" || word == "-f") {
      continue;
    } else if (word.starts_with("--")) {
      out.push_back(word);
    } else {
      arguments.push_back(word);
    }
  }
  if (arguments.size() < 2) return {"mount", "--help"};
  out.insert(out.end(), arguments.begin(), arguments.end());
  return out;
}

}  // namespace kiseki::cli
