#include "cli/mount_config_text.hpp"

#include <unistd.h>

#include <boost/json.hpp>

#include "cli/json_text.hpp"
#include "cli/verb.hpp"

namespace kiseki::cli {
namespace {

namespace json = boost::json;

json::object meta_part(const MountPlan& plan, SessionId sid) {
  const auto& client = plan.client;
  return {{"Retries", plan.io_tries - 1},
          {"MaxDeletes", plan.max_deletes},
          {"ReadOnly", client.read_only},
          {"NoBGJob", !plan.background_jobs},
          {"Heartbeat", std::chrono::nanoseconds(plan.heartbeat).count()},
          {"MountPoint", plan.mount_point},
          {"Subdir", plan.subdir},
          {"AtimeMode", client.strict_atime ? "strictatime"
                        : client.relatime   ? "relatime"
                                            : "noatime"},
          {"SkipDirMtime", std::chrono::nanoseconds(client.skip_dir_mtime).count()},
          {"Sid", sid.value}};
}

json::object chunk_part(const MountPlan& plan, const meta::Format& format) {
  std::string dirs;
  for (const auto& dir : plan.cache_dirs) dirs += (dirs.empty() ? "" : ":") + dir + "/" + format.uuid;
  return {{"CacheDir", dirs.empty() ? "memory" : dirs},
          {"CacheSize", 0},
          {"BlockSize", format.block_bytes()},
          {"Compress", format.compression},
          {"HashPrefix", format.hash_prefix},
          {"MaxUpload", plan.max_uploads},
          {"MaxDownload", plan.max_downloads},
          {"MaxRetries", plan.io_tries - 1},
          {"BufferSize", plan.buffer_bytes},
          {"Readahead", plan.readahead_bytes},
          {"Writeback", false}};
}

}  // namespace

std::string mount_config_text(const MountPlan& plan, const meta::Format& format, SessionId sid,
                              const std::string& metrics_address) {
  boost::system::error_code ec;
  auto format_json = json::parse(format.redacted().to_json(), ec);
  json::object out{{"Meta", meta_part(plan, sid)},
                   {"Format", ec ? json::value(nullptr) : std::move(format_json)},
                   {"Chunk", chunk_part(plan, format)},
                   {"Security", {{"EnableCap", plan.volume.capabilities}, {"EnableSELinux", plan.volume.selinux}}},
                   {"Port", {{"PrometheusAgent", metrics_address}}},
                   {"Version", version_line()},
                   {"AttrTimeout", plan.volume.attr_timeout.count()},
                   {"DirEntryTimeout", plan.volume.dir_entry_timeout.count()},
                   {"NegEntryTimeout", plan.volume.negative_timeout.count()},
                   {"EntryTimeout", plan.volume.entry_timeout.count()},
                   {"ReaddirCache", plan.volume.cache_dirs},
                   {"PrefixInternal", plan.volume.prefix_internal},
                   {"HideInternal", plan.volume.hide_internal},
                   {"Pid", ::getpid()},
                   {"PPid", ::getppid()},
                   {"Mountpoint", ""}};
  if (!plan.subdir.empty()) out["Subdir"] = plan.subdir;
  return pretty_json(out);
}

}  // namespace kiseki::cli
