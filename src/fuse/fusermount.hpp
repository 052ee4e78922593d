#pragma once

#include <string>
#include <variant>

#include "fuse/mount.hpp"

/// fusermount3, the set-uid helper that mounts for ordinary users.
namespace kiseki::fuse {

/// Mounts by fusermount3, which passes the open device back over a socket.
std::variant<Mounted, MountError> fusermount(const std::string& mountpoint, const MountOptions& options);

/// fusermount3 -u [-z]. Errors: ENOENT when it is missing; EBUSY; EPERM for any other refusal.
Result<void> fusermount_unmount(const std::string& mountpoint, bool lazy);

}  // namespace kiseki::fuse
