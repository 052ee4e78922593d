#include "cli/volume_meter.hpp"

#include <array>
#include <string>

#include "core/log.hpp"
#include "meta/ops.hpp"

namespace kiseki::cli {

namespace {

constexpr auto kUsageEvery = std::chrono::seconds(10);

/// The four gauges of one kind of quota.
std::array<metrics::Labeled<metrics::Gauge>*, 4> gauges_of(meta::QuotaKind kind) {
  auto& all = metrics::all();
  switch (kind) {
    case meta::QuotaKind::user:
      return {&all.user_quota_max_space, &all.user_quota_max_inodes, &all.user_quota_used_space,
              &all.user_quota_used_inodes};
    case meta::QuotaKind::group:
      return {&all.group_quota_max_space, &all.group_quota_max_inodes, &all.group_quota_used_space,
              &all.group_quota_used_inodes};
    default:
      return {&all.dir_quota_max_space, &all.dir_quota_max_inodes, &all.dir_quota_used_space,
              &all.dir_quota_used_inodes};
  }
}

}  // namespace

VolumeMeter::VolumeMeter(meta::Client& client, const BufferArena& arena, const chunk::BlockCache& cache,
                         const vfs::Volume& volume, asio::any_io_executor home)
    : client_(client),
      arena_(arena),
      cache_(cache),
      volume_(volume),
      refresh_(metrics::refresh_with([this] { refresh(); })),
      tasks_(std::move(home)) {}

void VolumeMeter::follow_usage() { tasks_.spawn(read_usage()); }

asio::awaitable<void> VolumeMeter::close() {
  refresh_.reset();
  co_await tasks_.close();
}

void VolumeMeter::refresh() {
  metrics::all().fuse_open_handlers.set(static_cast<double>(volume_.open_handles()));
  std::lock_guard lock(mutex_);
  count_cache();
}

/// The cache counts for itself; the catalog gets what came since the last look.
void VolumeMeter::count_cache() {
  auto& all = metrics::all();
  auto now = cache_.counts();
  auto& then = counted_;
  all.blockcache_blocks.set(static_cast<double>(now.blocks));
  all.blockcache_bytes.set(static_cast<double>(now.bytes));
  all.blockcache_hits.add(now.hits - then.hits);
  all.blockcache_miss.add(now.misses - then.misses);
  all.blockcache_hit_bytes.add(now.hit_bytes - then.hit_bytes);
  all.blockcache_miss_bytes.add(now.miss_bytes - then.miss_bytes);
  all.blockcache_writes.add(now.inserts - then.inserts);
  all.blockcache_evicts.add(now.evictions - then.evictions);
  then = now;
  auto used = arena_.used_bytes();
  all.used_buffer_size.set(static_cast<double>(used > now.bytes ? used - now.bytes : 0));
}

void VolumeMeter::show_quotas(const Quotas& quotas) {
  std::set<meta::QuotaKey> shown;
  for (const auto& [key, quota] : quotas) {
    auto gauges = gauges_of(key.kind);
    const std::array<std::int64_t, 4> values{quota.max_space, quota.max_inodes, quota.used_space, quota.used_inodes};
    auto id = std::to_string(key.id);
    for (std::size_t i = 0; i < gauges.size(); ++i) gauges[i]->with({id}).set(static_cast<double>(values[i]));
    shown.insert(key);
  }
  std::lock_guard lock(mutex_);
  for (const auto& key : quotas_) {
    if (shown.contains(key)) continue;
    for (auto* gauge : gauges_of(key.kind)) gauge->remove({std::to_string(key.id)});
  }
  quotas_ = std::move(shown);
}

asio::awaitable<void> VolumeMeter::read_usage() {
  auto& all = metrics::all();
  for (;;) {
    auto usage = co_await meta::usage(client_);
    if (usage) {
      all.used_space.set(static_cast<double>(usage->used_bytes));
      all.used_inodes.set(static_cast<double>(usage->used_inodes));
      all.total_space.set(static_cast<double>(usage->total_bytes));
      all.total_inodes.set(static_cast<double>(usage->used_inodes + usage->available_inodes));
    } else {
      log::warn("metrics.usage", {{"why", usage.error()}});
    }
    auto quotas = co_await client_.engine().scan_quotas();
    if (quotas) show_quotas(*quotas);
    co_await sleep_for(kUsageEvery);
  }
}

}  // namespace kiseki::cli
