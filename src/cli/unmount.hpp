#pragma once

#include <string>

#include "cli/failure.hpp"

namespace kiseki::cli {

/// `path` as the mount table names it: absolute, symlinks resolved; works on a dead mount too.
std::string real_mount_point(const std::string& path);
/// As root by umount(2), else through fusermount3. Lazy: detach now, end when nobody uses it.
Try<void> unmount(const std::string& mount_point, bool lazy);

}  // namespace kiseki::cli
