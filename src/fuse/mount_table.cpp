#include "fuse/mount_table.hpp"

#include <cstdio>
#include <fstream>
#include <sstream>

namespace kiseki::fuse {
namespace {

/// mountinfo writes blank, tab, newline and backslash as three octal digits.
std::string unescaped(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

std::optional<MountedAt> parse_mountinfo_line(const std::string& line) {
  std::istringstream words(line);
  std::string id, parent, device, root, point, word;
  if (!(words >> id >> parent >> device >> root >> point)) return std::nullopt;
  while (words >> word && word != "-") {
  }
  MountedAt out;
  if (!(words >> out.type >> out.source)) return std::nullopt;
  out.path = unescaped(point);
  out.source = unescaped(out.source);
  if (std::sscanf(device.c_str(), "%u:%u", &out.major, &out.minor) != 2) return std::nullopt;
  return out;
}

std::vector<MountedAt> mount_table() {
  std::vector<MountedAt> out;
  std::ifstream in("/proc/self/mountinfo");
  for (std::string line; std::getline(in, line);) {
    if (auto mount = parse_mountinfo_line(line)) out.push_back(std::move(*mount));
  }
  return out;
}

std::optional<MountedAt> mounted_at(const std::string& path) {
  std::optional<MountedAt> out;
  for (auto& mount : mount_table()) {
    if (mount.path == path) out = std::move(mount);
  }
  return out;
}

bool is_volume_mount(const MountedAt& mount) { return mount.type == "fuse.kiseki" || mount.type == "fuse.juicefs"; }

}  // namespace kiseki::fuse
