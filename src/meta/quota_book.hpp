#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "meta/commit.hpp"
#include "meta/record.hpp"

namespace kiseki::meta {

/// The quotas of a volume as this client knows them: read at start and at each heartbeat, kept current by its own
/// commits. Limits are therefore exact for one client and soft between several (as in JuiceFS). Thread-safe.
class QuotaBook {
 public:
  bool loaded() const { return loaded_.load(std::memory_order_acquire); }
  bool any_directory() const { return directories_.load(std::memory_order_relaxed) > 0; }
  void replace(std::vector<std::pair<QuotaKey, Quota>> all);
  std::optional<Quota> find(QuotaKey key) const;
  void put(QuotaKey key, const Quota& quota);
  void add_usage(QuotaKey key, std::int64_t space, std::int64_t inodes);
  void erase(QuotaKey key);

 private:
  mutable std::mutex mutex_;  // guards quotas_
  std::map<QuotaKey, Quota> quotas_;
  std::atomic<bool> loaded_{false};
  std::atomic<std::size_t> directories_{0};
};

}  // namespace kiseki::meta
