#include <fmt/format.h>

#include "cli/format_volume.hpp"
#include "cli/locations.hpp"
#include "cli/meta_access.hpp"
#include "cli/mount_plan.hpp"
#include "cli/storage_check.hpp"
#include "core/log.hpp"

namespace kiseki::cli {

Try<std::string> default_volume_url() {
  auto dir = default_volume_dir();
  auto url = fmt::format("sqlite3://{}/default.db", dir);
  if (!is_missing_database(url)) return url;
  TRY_CHECK(make_directories(dir, 0700));
  auto format = new_format("default");
  TRY(format.bucket, stored_bucket("file", dir + "/data"));
  if (auto made = make_volume(url, std::move(format)); !made) {
    return Failure{Exit::failed,
                   fmt::format("the default volume in {} cannot be made: {}", dir, made.error().sentence)};
  }
  log::info("mount.default_volume_made", {{"metadata", url}, {"data", dir + "/data/"}});
  return url;
}

}  // namespace kiseki::cli
