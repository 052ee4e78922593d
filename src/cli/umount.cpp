#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include "cli/locations.hpp"
#include "cli/settings.hpp"
#include "cli/unmount.hpp"
#include "fuse/mount.hpp"
#include "fuse/mount_table.hpp"

namespace kiseki::cli {
namespace {

/// Staged blocks wait in <cache-dir>/<uuid>/rawstaging of a mount with --writeback, which this version does not offer:
/// a mount of ours never holds any, so there is nothing to wait for. One of JuiceFS may.
Try<void> wait_until_flushed(const fuse::MountedAt& mount) {
  if (mount.type == "fuse.juicefs")
    return Failure{Exit::failed,
                   fmt::format("{} is a JuiceFS mount, whose staged blocks are its own: juicefs umount --flush {}",
                               mount.path, mount.path)};
  std::puts("All staging chunks are flushed");
  return boost::system::in_place_value;
}

}  // namespace

std::string real_mount_point(const std::string& path) {
  // A dead mount cannot be stat'ed: resolve the parent only.
  auto absolute = std::filesystem::path(absolute_path(path));
  if (!absolute.has_filename()) absolute = absolute.parent_path();
  std::error_code ec;
  auto whole = std::filesystem::canonical(absolute, ec);
  if (!ec) return whole.string();
  auto parent = std::filesystem::canonical(absolute.parent_path(), ec);
  return ec ? absolute.string() : (parent / absolute.filename()).string();
}

Try<fuse::MountedAt> volume_at(const std::string& mount_point) {
  auto mount = fuse::mounted_at(mount_point);
  if (!mount) return Failure{Exit::failed, fmt::format("{} is not a mount point", mount_point)};
  if (fuse::is_volume_mount(*mount)) return *mount;
  return Failure{Exit::failed, fmt::format("{} is a mount of type {}, not a volume: mount(8) and umount(8) are for it",
                                           mount_point, mount->type)};
}

Try<void> unmount(const std::string& mount_point, bool lazy) {
  auto gone = fuse::unmount(mount_point, lazy);
  if (gone) return boost::system::in_place_value;
  if (gone.error() == posix(EBUSY)) {
    return Failure{
        Exit::failed,
        fmt::format("{} is busy: an application uses it; end it, or detach at once with --force", mount_point)};
  }
  if (gone.error() == posix(ENOENT)) return Failure{Exit::failed, "fusermount3 is not installed (package fuse3)"};
  return failure(fmt::format("cannot unmount {}", mount_point), gone.error());
}

Try<int> run_umount(const Settings& settings) {
  auto path = real_mount_point(settings.arguments()[0]);
  TRY(auto mount, volume_at(path));
  if (settings.on("flush")) TRY_CHECK(wait_until_flushed(mount));
  TRY_CHECK(unmount(path, settings.on("force")));
  return 0;
}

}  // namespace kiseki::cli
