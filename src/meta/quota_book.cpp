#include "meta/quota_book.hpp"

#include "meta/patch.hpp"

namespace kiseki::meta {

void QuotaBook::replace(std::vector<std::pair<QuotaKey, Quota>> all) {
  std::lock_guard lock(mutex_);
  quotas_.clear();
  std::size_t directories = 0;
  for (auto& [key, quota] : all) {
    directories += key.kind == QuotaKind::directory;
    quotas_.emplace(key, quota);
  }
  directories_ = directories;
  loaded_.store(true, std::memory_order_release);
}

std::optional<Quota> QuotaBook::find(QuotaKey key) const {
  std::lock_guard lock(mutex_);
  auto it = quotas_.find(key);
  return it == quotas_.end() ? std::nullopt : std::optional(it->second);
}

void QuotaBook::put(QuotaKey key, const Quota& quota) {
  std::lock_guard lock(mutex_);
  if (quotas_.insert_or_assign(key, quota).second && key.kind == QuotaKind::directory) ++directories_;
}

void QuotaBook::add_usage(QuotaKey key, std::int64_t space, std::int64_t inodes) {
  std::lock_guard lock(mutex_);
  auto it = quotas_.find(key);
  if (it == quotas_.end()) {
    if (key.kind == QuotaKind::directory) return;  // AddQuotaUsage leaves a missing one missing
    it = quotas_.emplace(key, Quota()).first;
  }
  it->second.used_space = sum(it->second.used_space, space);
  it->second.used_inodes = sum(it->second.used_inodes, inodes);
}

void QuotaBook::erase(QuotaKey key) {
  std::lock_guard lock(mutex_);
  if (quotas_.erase(key) > 0 && key.kind == QuotaKind::directory) --directories_;
}

}  // namespace kiseki::meta
