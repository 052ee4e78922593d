#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/failure.hpp"
#include "cli/settings.hpp"
#include "fuse/mount.hpp"
#include "fuse/negotiate.hpp"
#include "meta/client.hpp"
#include "vfs/volume.hpp"

namespace kiseki::cli {

/// Everything a mount needs to know, worked out from the settings before anything is opened.
struct MountPlan {
  std::string meta_url;     ///< absolute
  std::string mount_point;  ///< absolute, no symlinks
  std::string subdir;       ///< empty: the whole volume

  unsigned loops = 0;
  std::size_t buffer_bytes = 0, readahead_bytes = 0;
  bool cache_full_writes = false;
  std::size_t memory_cache_bytes = 0;  ///< for blocks beside the buffers (--cache-dir memory)
  std::string overflow_dir;            ///< empty: none
  std::size_t overflow_bytes = 0;      ///< of a mapped file there, once buffer_bytes are used up
  bool no_huge_pages = false;

  meta::ClientOptions client;
  std::chrono::milliseconds heartbeat{};
  bool background_jobs = true;
  std::size_t max_deletes = 10;

  std::optional<std::string> storage, bucket;  ///< replace the volume's
  std::chrono::milliseconds get_timeout{}, put_timeout{};
  unsigned io_tries = 10;
  std::size_t max_uploads = 20, max_downloads = 200, prefetch = 1;
  std::optional<std::int64_t> upload_mbps, download_mbps;  ///< replace the volume's
  std::optional<std::string> storage_class, tag;           ///< the same
  double hedge_percentile = 0;
  bool check_storage = false;
  std::vector<std::string> cache_dirs;  ///< given ones: looked through for staged blocks

  vfs::VolumeOptions volume;     ///< without `root`, which the volume itself answers
  fuse::MountOptions device;     ///< without `source`
  fuse::SessionOptions session;  ///< without `acl`, which the volume's format says

  std::string metrics;                        ///< HOST:PORT
  bool metrics_given = false;                 ///< by the user: then a port in use is an error
  std::map<std::string, std::string> labels;  ///< further ones, on every metric
};

/// Works the plan out and checks what can be checked without opening anything: the mount point, UID:GID, transports.
Try<MountPlan> plan_mount(const Settings& settings);

/// The default volume of this user: sqlite3://~/.kiseki/default.db, data below ~/.kiseki/data/. Made when it is
/// missing.
Try<std::string> default_volume_url();

}  // namespace kiseki::cli
