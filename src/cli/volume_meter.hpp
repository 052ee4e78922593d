#pragma once

#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "chunk/block_cache.hpp"
#include "core/async.hpp"
#include "core/memory.hpp"
#include "core/metrics.hpp"
#include "meta/client.hpp"
#include "vfs/volume.hpp"

namespace kiseki::cli {

/// Shows in the metrics what a mounted volume counts for itself: memory, block cache and open handles whenever somebody
/// looks, usage and quotas every few seconds. Everything it is given outlives it. `close` before destruction.
class VolumeMeter {
 public:
  VolumeMeter(meta::Client& client, const BufferArena& arena, const chunk::BlockCache& cache, const vfs::Volume& volume,
              asio::any_io_executor home);

  void follow_usage();  ///< once; from then on the volume's usage is read every ten seconds
  asio::awaitable<void> close();

 private:
  void refresh();
  void count_cache();
  using Quotas = std::vector<std::pair<meta::QuotaKey, meta::Quota>>;
  void show_quotas(const Quotas& quotas);
  asio::awaitable<void> read_usage();

  meta::Client& client_;
  const BufferArena& arena_;
  const chunk::BlockCache& cache_;
  const vfs::Volume& volume_;
  std::mutex mutex_;  // guards counted_, quotas_
  chunk::BlockCache::Counts counted_;
  std::set<meta::QuotaKey> quotas_;  // shown last time
  metrics::Refresh refresh_;
  TaskGroup tasks_;
};

}  // namespace kiseki::cli
