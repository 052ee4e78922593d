#pragma once

#include <string>

#include "cli/failure.hpp"
#include "fuse/mount_table.hpp"

namespace kiseki::cli {

/// `path` as the mount table names it: absolute, symlinks resolved; works on a dead mount too.
std::string real_mount_point(const std::string& path);
/// The volume that is mounted there (its server may be dead). Other file systems are not ours to change or take away.
Try<fuse::MountedAt> volume_at(const std::string& mount_point);
/// As root by umount(2), else through fusermount3. Lazy: detach now, end when nobody uses it.
Try<void> unmount(const std::string& mount_point, bool lazy);

}  // namespace kiseki::cli
