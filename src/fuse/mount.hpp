#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "core/result.hpp"
#include "fuse/unique_fd.hpp"

namespace kiseki::fuse {

struct MountOptions {
  std::string source = "kiseki";   ///< first column of df and /proc/mounts
  std::string subtype = "kiseki";  ///< type fuse.SUBTYPE
  bool allow_other = false;
  bool default_permissions = true;
  std::uint32_t max_read = 1u << 20;  ///< bytes of one READ
  /// In the words of mount(8), over rw, nosuid, nodev, exec, async and noatime; the last word counts.
  std::vector<std::string> words;
};

/// Why a mount failed: an errno and one sentence that says what to do.
struct MountError {
  int code;
  std::string sentence;
};

struct Mounted {
  UniqueFd device;  ///< non-blocking; the kernel's INIT waits on it
  std::string mountpoint;
};

/// Mounts: as root by mount(2), else by fusermount3. Blocks briefly.
std::variant<Mounted, MountError> mount(const std::string& mountpoint, const MountOptions& options);

/// Changes flags of a living mount, as `mount -o remount` does, by the words of mount(8): ro, rw, suid, nodev, noexec,
/// noatime and the like. What they do not name stays. Errors: EPERM, EINVAL (not a mount). Blocks briefly.
Result<void> remount(const std::string& mountpoint, const std::vector<std::string>& words);

/// Takes the mount away. Lazy: from the name space at once, for good when the last user has gone. Errors: EBUSY, EINVAL
/// (not mounted), EPERM, ENOENT when fusermount3 is missing. Blocks.
Result<void> unmount(const std::string& mountpoint, bool lazy);

/// Lets the kernel read ahead this far on that mount, where it lets us (root; the default is 128 KiB). For threads that
/// may wait: the mount must be answering.
Result<void> set_read_ahead(const std::string& mountpoint, std::uint32_t kib);

/// The file system options of mount(2) and fusermount3 -o, without fd, rootmode and ids; here for tests.
std::string filesystem_options(const MountOptions& options);
std::string fusermount_options(const MountOptions& options);

}  // namespace kiseki::fuse
