#include "cli/mount_plan.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "cli/locations.hpp"
#include "cli/unmount.hpp"
#include "core/log.hpp"
#include "core/numbers.hpp"
#include "fuse/mount_table.hpp"

namespace kiseki::cli {
namespace {

/// What JuiceFS gives a cache in memory (its documented default).
constexpr std::size_t kMemoryCacheBytes = std::size_t{100} << 20;

using std::chrono::duration_cast;
using std::chrono::milliseconds;

Try<std::optional<vfs::Caller>> squash(const Settings& settings, std::string_view flag) {
  auto text = settings.text(flag);
  if (text.empty()) return std::optional<vfs::Caller>();
  std::string_view ids = text;
  auto colon = std::min(ids.find(':'), ids.size());
  auto uid = whole_number<std::uint32_t>(ids.substr(0, colon));
  auto gid = colon < ids.size() ? whole_number<std::uint32_t>(ids.substr(colon + 1)) : std::nullopt;
  if (!uid || !gid) {
    return Failure{Exit::failed, fmt::format("{}: \"{}\" is not valid; allowed: UID:GID, such as 65534:65534",
                                             settings.origin(flag), text)};
  }
  return std::optional(vfs::Caller{.uid = *uid, .gid = *gid});
}

std::vector<std::string> split_colons(const std::string& list) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at <= list.size();) {
    auto colon = std::min(list.find(':', at), list.size());
    if (colon > at) out.push_back(absolute_path(list.substr(at, colon - at)));
    at = colon + 1;
  }
  return out;
}

bool is_label_name(std::string_view name) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !name.empty() && letter(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

Try<std::map<std::string, std::string>> labels_of(const Settings& settings) {
  std::map<std::string, std::string> out;
  const auto list = settings.text("custom-labels");
  for (std::string_view left = list; !left.empty();) {
    auto one = left.substr(0, left.find(';'));
    left.remove_prefix(std::min(one.size() + 1, left.size()));
    auto colon = one.find(':');
    if (colon == std::string_view::npos || !is_label_name(one.substr(0, colon))) {
      return Failure{Exit::failed, fmt::format("{}: \"{}\" is not valid; allowed: NAME:VALUE;NAME:VALUE with names of "
                                               "letters, digits and _",
                                               settings.origin("custom-labels"), one)};
    }
    out.insert_or_assign(std::string(one.substr(0, colon)), std::string(one.substr(colon + 1)));
  }
  return out;
}

/// HOST:PORT, :PORT, or nothing: no metrics.
Try<std::string> metrics_address(const Settings& settings) {
  auto address = settings.text("metrics");
  auto colon = address.rfind(':');
  if (address.empty()) return address;
  if (colon != std::string::npos && whole_number<std::uint16_t>(std::string_view(address).substr(colon + 1)))
    return address;
  return Failure{Exit::failed, fmt::format("{}: \"{}\" is not valid; allowed: HOST:PORT, or nothing for no metrics",
                                           settings.origin("metrics"), address)};
}

Try<void> plan_memory(const Settings& settings, MountPlan& plan) {
  plan.buffer_bytes = settings.count("buffer-size");
  plan.readahead_bytes = settings.count("max-readahead");
  plan.no_huge_pages = settings.on("disable-transparent-hugepage");
  if (settings.text("overflow-dir").empty()) return boost::system::in_place_value;
  plan.overflow_dir = absolute_path(settings.text("overflow-dir"));
  plan.overflow_bytes = settings.count("overflow-size");
  if (::access(plan.overflow_dir.c_str(), R_OK | W_OK | X_OK) == 0) return boost::system::in_place_value;
  return Failure{Exit::failed, fmt::format("{}: {} is no directory that can be written to",
                                           settings.origin("overflow-dir"), plan.overflow_dir)};
}

/// Refuses what is mounted already; the rest (a file, no such directory, a dead mount) is said when mounting.
Try<std::string> checked_mount_point(const std::string& given) {
  auto path = real_mount_point(given);
  if (path == "/") return Failure{Exit::failed, "/ cannot be a mount point"};
  if (auto mount = fuse::mounted_at(path); mount && fuse::is_volume_mount(*mount)) {
    return Failure{Exit::failed,
                   fmt::format("{} is in use: {} is mounted there (kiseki umount {})", path, mount->source, path)};
  }
  return path;
}

/// Words of mount(8) that are accepted for fstab's sake and change nothing here.
void warn_of_words(const Settings& settings) {
  for (const auto& word : settings.mount_options().kernel) {
    std::string_view instead;
    if ((word == "relatime" || word == "strictatime") && settings.text("atime-mode") != word) instead = "--atime-mode";
    if (word == "auto_unmount") instead = "-d: its supervisor unmounts what it cannot restart";
    if (word == "lazytime") instead = "nothing: times are kept in the metadata engine";
    if (!instead.empty()) log::warn("mount.option_without_effect", {{"option", word}, {"instead", instead}});
  }
}

void plan_kernel_side(const Settings& settings, MountPlan& plan) {
  const auto& o = settings.mount_options();
  plan.device.subtype = "kiseki";
  plan.device.allow_other = is_root() || o.allow_other;
  // Everybody is one here, so the kernel's checks would be of others. With --root-squash they stay good for all but
  // root, whom they let pass.
  plan.device.default_permissions = !settings.on("non-default-permission") && settings.text("all-squash").empty();
  plan.device.words = o.kernel;  // ro is not among them: as in JuiceFS, the kernel's side stays rw; the client refuses
  warn_of_words(settings);
  auto asked = settings.count("max-fuse-io");
  auto io = std::clamp<std::uint64_t>(asked, 4096, 1u << 20) & ~std::uint64_t{4095};
  if (io < asked) log::warn("mount.max_fuse_io", {{"asked", asked}, {"used", io}, {"why", "the most there is"}});
  plan.device.max_read = plan.session.max_write = static_cast<std::uint32_t>(io);
  plan.session.xattr = settings.on("enable-xattr");
  plan.session.ioctl = settings.on("enable-ioctl");
  plan.session.writeback_cache = o.writeback_cache;
}

Try<void> plan_volume(const Settings& settings, MountPlan& plan) {
  auto& volume = plan.volume;
  volume.attr_timeout = settings.duration("attr-cache");
  volume.entry_timeout = settings.duration("entry-cache");
  volume.dir_entry_timeout = settings.duration("dir-entry-cache");
  volume.negative_timeout = settings.duration("negative-entry-cache");
  volume.read_only = plan.client.read_only = settings.on("read-only") || settings.mount_options().read_only;
  volume.xattr = settings.on("enable-xattr");
  volume.capabilities = settings.on("enable-cap");
  volume.selinux = settings.on("enable-selinux");
  volume.ioctl = settings.on("enable-ioctl");
  volume.cache_dirs = settings.on("readdir-cache");
  volume.hide_internal = settings.on("hide-internal");
  volume.prefix_internal = settings.on("prefix-internal");
  volume.check_permissions = settings.on("non-default-permission");
  if (settings.given("umask")) volume.umask = static_cast<std::uint16_t>(settings.count("umask"));
  TRY(volume.root_squash, squash(settings, "root-squash"));
  TRY(volume.all_squash, squash(settings, "all-squash"));
  return boost::system::in_place_value;
}

void plan_metadata(const Settings& settings, MountPlan& plan) {
  plan.subdir = settings.text("subdir");
  plan.client.skip_dir_mtime = duration_cast<milliseconds>(settings.duration("skip-dir-mtime"));
  plan.client.strict_atime = settings.text("atime-mode") == "strictatime";
  plan.client.relatime = settings.text("atime-mode") == "relatime";
  plan.session.cache_symlinks = !plan.client.strict_atime && !plan.client.relatime;
  plan.heartbeat = duration_cast<milliseconds>(settings.duration("heartbeat"));
  plan.client.stale_reads = settings.duration("stale-reads");
  plan.background_jobs = !settings.on("no-bgjob");
  plan.max_deletes = static_cast<std::size_t>(settings.integer("max-deletes"));
}

void plan_cache(const Settings& settings, MountPlan& plan) {
  if (settings.text("cache-dir") == "memory") {
    plan.memory_cache_bytes = settings.given("cache-size") ? settings.count("cache-size") : kMemoryCacheBytes;
    return;
  }
  if (settings.given("cache-dir")) plan.cache_dirs = split_colons(settings.text("cache-dir"));
  if (settings.given("cache-dir") || settings.given("cache-size"))
    log::warn("mount.no_disk_cache",
              {{"effect", "blocks are cached within --buffer-size; directories are only searched for staged blocks"},
               {"remedy", "--cache-dir memory --cache-size SIZE for a larger cache in memory"}});
}

void plan_store(const Settings& settings, MountPlan& plan) {
  if (!settings.text("storage").empty()) plan.storage = settings.text("storage");
  if (!settings.text("bucket").empty()) plan.bucket = settings.text("bucket");
  plan.get_timeout = duration_cast<milliseconds>(settings.duration("get-timeout"));
  plan.put_timeout = duration_cast<milliseconds>(settings.duration("put-timeout"));
  plan.io_tries = static_cast<unsigned>(settings.integer("io-retries")) + 1;
  plan.max_uploads = static_cast<std::size_t>(settings.integer("max-uploads"));
  plan.max_downloads = static_cast<std::size_t>(settings.integer("max-downloads"));
  plan.prefetch = static_cast<std::size_t>(settings.integer("prefetch"));
  if (settings.given("upload-limit")) plan.upload_mbps = settings.integer("upload-limit");
  if (settings.given("download-limit")) plan.download_mbps = settings.integer("download-limit");
  if (settings.given("storage-class")) plan.storage_class = settings.text("storage-class");
  if (settings.given("tag")) plan.tag = settings.text("tag");
  if (auto after = settings.text("hedge-after"); after != "off")
    plan.hedge_percentile = std::stod(after.substr(1)) / 100;
  plan.check_storage = settings.on("check-storage");
  plan_cache(settings, plan);
}

}  // namespace

Try<MountPlan> plan_mount(const Settings& settings) {
  MountPlan plan;
  const auto& arguments = settings.arguments();
  TRY(plan.mount_point, checked_mount_point(arguments.back()));
  plan.loops = static_cast<unsigned>(settings.count("loops"));
  plan.cache_full_writes = settings.on("cache-large-write");
  TRY_CHECK(plan_memory(settings, plan));
  plan_metadata(settings, plan);
  plan_store(settings, plan);
  plan_kernel_side(settings, plan);
  TRY_CHECK(plan_volume(settings, plan));
  TRY(plan.metrics, metrics_address(settings));
  plan.metrics_given = settings.given("metrics");
  TRY(plan.labels, labels_of(settings));
  if (arguments.size() == 2) {
    TRY(plan.meta_url, absolute_meta_url(arguments.front()));
    // Who lets the kernel keep nothing wants nothing old: a notice of the server's may still be under way to us.
    auto nothing_old = plan.volume.attr_timeout.count() == 0 || plan.volume.entry_timeout.count() == 0;
    if (nothing_old || !settings.on("client-cache")) plan.meta_url = without_client_cache(std::move(plan.meta_url));
  } else {
    TRY(plan.meta_url, default_volume_url());
  }
  return plan;
}

}  // namespace kiseki::cli
