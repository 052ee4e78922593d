#include "vfs/losses.hpp"

namespace kiseki::vfs {

void Losses::add(Ino ino, std::error_code why) {
  std::lock_guard lock(guard_);
  latest_[ino] = {why, count_.fetch_add(1, std::memory_order_acq_rel) + 1};
}

std::error_code Losses::since(std::uint64_t told, Ino ino) const {
  if (count() == told) return {};
  std::lock_guard lock(guard_);
  auto found = latest_.find(ino);
  return found == latest_.end() || found->second.number <= told ? std::error_code() : found->second.why;
}

void Losses::forget(Ino ino, std::uint64_t known) {
  if (known == 0) return;
  std::lock_guard lock(guard_);
  auto found = latest_.find(ino);
  if (found != latest_.end() && found->second.number <= known) latest_.erase(found);
}

}  // namespace kiseki::vfs
