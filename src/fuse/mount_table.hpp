#pragma once

#include <optional>
#include <string>
#include <vector>

namespace kiseki::fuse {

struct MountedAt {
  std::string path;    ///< mount point
  std::string type;    ///< "fuse.kiseki"
  std::string source;  ///< "Kiseki:myvol"
  unsigned major = 0, minor = 0;
};

/// The mounts of this process's namespace, oldest first (/proc/self/mountinfo).
std::vector<MountedAt> mount_table();
std::optional<MountedAt> parse_mountinfo_line(const std::string& line);
/// The topmost mount whose mount point is exactly `path` (absolute, no symlinks).
std::optional<MountedAt> mounted_at(const std::string& path);
/// Whether the mount is of a client of this family: ours or JuiceFS's.
bool is_volume_mount(const MountedAt& mount);

}  // namespace kiseki::fuse
