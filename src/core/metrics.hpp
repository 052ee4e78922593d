#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/metric_types.hpp"

/// Every number the process shows, with the names of JuiceFS 1.4 so that its dashboards keep working. All are stable.
/// Keep a reference where you count: `auto& hits = metrics::all().blockcache_hits;`.
namespace kiseki::metrics {

struct Catalog {
  Catalog() = default;
  Catalog(const Catalog&) = delete;
  Registry registry;  // first: the others enter themselves

  // The volume (set by whoever keeps its statistics).
  Single<Gauge> used_space{registry, "juicefs_used_space", "bytes used in the volume"};
  Single<Gauge> used_inodes{registry, "juicefs_used_inodes", "inodes used"};
  Single<Gauge> total_space{registry, "juicefs_total_space", "used and available bytes"};
  Single<Gauge> total_inodes{registry, "juicefs_total_inodes", "used and available inodes"};
  Labeled<Gauge> subdir_info{registry, "juicefs_subdir_info", "always 1; names the mounted subdirectory", {"subdir"}};

  // Quotas. A limit <= 0 is none.
  Labeled<Gauge> dir_quota_max_space{
      registry, "juicefs_dir_quota_max_space_bytes", "directory quota: space limit", {"inode"}};
  Labeled<Gauge> dir_quota_max_inodes{
      registry, "juicefs_dir_quota_max_inodes", "directory quota: inode limit", {"inode"}};
  Labeled<Gauge> dir_quota_used_space{
      registry, "juicefs_dir_quota_used_space_bytes", "directory quota: bytes counted", {"inode"}};
  Labeled<Gauge> dir_quota_used_inodes{
      registry, "juicefs_dir_quota_used_inodes", "directory quota: inodes counted", {"inode"}};
  Labeled<Gauge> user_quota_max_space{
      registry, "juicefs_user_quota_max_space_bytes", "user quota: space limit", {"uid"}};
  Labeled<Gauge> user_quota_max_inodes{registry, "juicefs_user_quota_max_inodes", "user quota: inode limit", {"uid"}};
  Labeled<Gauge> user_quota_used_space{
      registry, "juicefs_user_quota_used_space_bytes", "user quota: bytes counted", {"uid"}};
  Labeled<Gauge> user_quota_used_inodes{
      registry, "juicefs_user_quota_used_inodes", "user quota: inodes counted", {"uid"}};
  Labeled<Gauge> group_quota_max_space{
      registry, "juicefs_group_quota_max_space_bytes", "group quota: space limit", {"gid"}};
  Labeled<Gauge> group_quota_max_inodes{
      registry, "juicefs_group_quota_max_inodes", "group quota: inode limit", {"gid"}};
  Labeled<Gauge> group_quota_used_space{
      registry, "juicefs_group_quota_used_space_bytes", "group quota: bytes counted", {"gid"}};
  Labeled<Gauge> group_quota_used_inodes{
      registry, "juicefs_group_quota_used_inodes", "group quota: inodes counted", {"gid"}};

  // FUSE requests.
  Single<Gauge> fuse_open_handlers{registry, "juicefs_fuse_open_handlers", "open file and directory handles"};
  Single<Histogram> fuse_ops_durations{registry, "juicefs_fuse_ops_durations_histogram_seconds",
                                       "latency of all operations", exponential(1e-5, 1.8, 29)};
  Labeled<Counter> fuse_ops{registry, "juicefs_fuse_ops_total", "operations by name", {"method"}};
  Labeled<TimeCounter> fuse_ops_seconds{
      registry, "juicefs_fuse_ops_durations_seconds", "summed latency by operation", {"method"}};
  Labeled<Counter> fuse_io_errors{registry, "juicefs_fuse_ops_io_errors", "failed operations by errno name", {"errno"}};
  Single<Histogram> fuse_read_size{registry, "juicefs_fuse_read_size_bytes", "read sizes", linear(4096, 4096, 32)};
  Single<Histogram> fuse_written_size{registry, "juicefs_fuse_written_size_bytes", "write sizes",
                                      linear(4096, 4096, 32)};

  // Metadata.
  Labeled<Counter> meta_ops{registry, "juicefs_meta_ops_total", "metadata calls by name", {"method"}};
  Labeled<TimeCounter> meta_ops_seconds{
      registry, "juicefs_meta_ops_duration_seconds", "summed metadata latency by call", {"method"}};
  Single<Histogram> meta_ops_durations{registry, "juicefs_meta_ops_durations_histogram_seconds", "metadata latency",
                                       exponential(1e-4, 1.5, 30)};
  Single<Histogram> transaction_durations{registry, "juicefs_transaction_durations_histogram_seconds",
                                          "database transaction latency", exponential(1e-4, 1.5, 30)};
  Labeled<Counter> transaction_restart{
      registry, "juicefs_transaction_restart", "retried transactions by function", {"method"}};

  // Buffers and block cache.
  Single<Gauge> used_buffer_size{registry, "juicefs_used_buffer_size_bytes", "read and write buffer memory in use"};
  Single<Gauge> used_read_buffer_size{registry, "juicefs_used_read_buffer_size_bytes", "read buffer memory in use"};
  Single<Gauge> store_cache_size{registry, "juicefs_store_cache_size_bytes",
                                 "memory held by blocks on their way to the cache"};
  Single<Gauge> blockcache_blocks{registry, "juicefs_blockcache_blocks", "cached blocks"};
  Single<Gauge> blockcache_bytes{registry, "juicefs_blockcache_bytes", "cached bytes"};
  Single<Counter> blockcache_hits{registry, "juicefs_blockcache_hits", "block reads served by the cache"};
  Single<Counter> blockcache_miss{registry, "juicefs_blockcache_miss", "block reads not in the cache"};
  Single<Counter> blockcache_hit_bytes{registry, "juicefs_blockcache_hit_bytes", "bytes served by the cache"};
  Single<Counter> blockcache_miss_bytes{registry, "juicefs_blockcache_miss_bytes", "bytes not in the cache"};
  Single<Counter> blockcache_writes{registry, "juicefs_blockcache_writes", "blocks written into the cache"};
  Single<Counter> blockcache_write_bytes{registry, "juicefs_blockcache_write_bytes", "bytes written into the cache"};
  Single<Counter> blockcache_drops{registry, "juicefs_blockcache_drops", "blocks not cached because of pressure"};
  Single<Counter> blockcache_evicts{registry, "juicefs_blockcache_evicts", "blocks evicted"};
  Single<Histogram> blockcache_read_seconds{registry, "juicefs_blockcache_read_hist_seconds", "cache read latency",
                                            exponential(1e-5, 2, 20)};
  Single<Histogram> blockcache_write_seconds{registry, "juicefs_blockcache_write_hist_seconds", "cache write latency",
                                             exponential(1e-5, 2, 20)};
  Single<Gauge> staging_blocks{registry, "juicefs_staging_blocks", "blocks waiting for upload"};
  Single<Gauge> staging_block_bytes{registry, "juicefs_staging_block_bytes", "bytes waiting for upload"};
  Single<Gauge> staging_writing_blocks{registry, "juicefs_staging_writing_blocks", "blocks being written to staging"};
  Single<Counter> staging_write_bytes{registry, "juicefs_staging_write_bytes", "bytes written to staging"};
  Single<TimeCounter> staging_block_delay{registry, "juicefs_staging_block_delay_seconds",
                                          "summed waiting time of staged blocks"};
  Single<Counter> staging_block_errors{registry, "juicefs_staging_block_errors", "staging failures"};

  // Objects. method: GET, PUT, DELETE; storage_class: STANDARD where the store has none.
  Single<Gauge> object_uploading{registry, "juicefs_object_request_uploading", "uploads running"};
  Labeled<Histogram> object_durations{registry,
                                      "juicefs_object_request_durations_histogram_seconds",
                                      "object request latency",
                                      {"method", "storage_class"},
                                      exponential(0.01, 1.5, 25)};
  Labeled<Counter> object_data_bytes{
      registry, "juicefs_object_request_data_bytes", "bytes moved by GET and PUT", {"method", "storage_class"}};
  Single<Counter> object_errors{registry, "juicefs_object_request_errors", "failed object requests"};

  // Background work. Two names carry the prefix twice, as the original's do.
  Single<Histogram> compact_size{registry, "juicefs_compact_size_histogram_bytes", "size of compacted chunks",
                                 exponential(1024, 2, 16)};
  Single<Gauge> last_successful_backup{registry, "juicefs_last_successful_backup",
                                       "Unix time of the last good metadata backup"};
  Single<Gauge> last_backup_duration{registry, "juicefs_last_backup_duration", "seconds the last metadata backup took"};
  Labeled<Histogram> bgjob_duration{registry,
                                    "juicefs_juicefs_bgjob_duration_seconds",
                                    "background job run time",
                                    {"job", "status"},
                                    exponential(1, 2, 13)};
  Labeled<Counter> bgjob_deletions{
      registry, "juicefs_juicefs_bgjob_deletions_total", "things deleted by background jobs", {"job"}};
};

/// The process's catalog; never destroyed.
Catalog& all();

/// Labels on every series: instance, juicefs_version, mp, vol_name and the user's own.
void set_common_labels(std::map<std::string, std::string> labels);

/// As long as the returned object lives, `refresh` runs before anybody is shown the catalog: it sets what others count.
/// Any thread; it must not block, nor look at the catalog's text itself.
using Refresh = std::shared_ptr<const std::function<void()>>;
[[nodiscard]] Refresh refresh_with(std::function<void()> refresh);

/// Everything in Prometheus text format (version 0.0.4), with juicefs_uptime, cpu_usage, memory and process_* of now.
std::string metrics_text();

/// The same as `name value` lines (the `.stats` file of JuiceFS 1.4): histograms as `_total` and
/// `_sum`, values of the labels method and errno appended to the name, other labels dropped.
std::string stats_text();

}  // namespace kiseki::metrics
