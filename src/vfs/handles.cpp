#include "vfs/handles.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <utility>

namespace kiseki::vfs {

void LockOwners::add(std::uint64_t owner) {
  std::lock_guard hold(guard_);
  if (std::find(owners_.begin(), owners_.end(), owner) == owners_.end()) owners_.push_back(owner);
}

void LockOwners::remove(std::uint64_t owner) {
  std::lock_guard hold(guard_);
  std::erase(owners_, owner);
}

std::vector<std::uint64_t> LockOwners::take() {
  std::lock_guard hold(guard_);
  return std::exchange(owners_, {});
}

void BusyInodes::begin(Ino ino) {
  std::lock_guard hold(guard_);
  ++busy_[ino];
  ++count_;
}

void BusyInodes::end(Ino ino) {
  {
    std::lock_guard hold(guard_);
    if (--busy_[ino] == 0) busy_.erase(ino);
    --count_;
  }
  changed_.notify_all();
}

bool BusyInodes::any(Ino ino) const {
  if (count_ == 0) return false;
  std::lock_guard hold(guard_);
  return busy_.contains(ino);
}

Async<void> BusyInodes::changed(std::uint64_t ticket) {
  co_await changed_.wait(ticket);
  co_return Result<void>{};
}

Async<void> BusyInodes::gone(Ino ino) {
  constexpr auto kLookAgain = std::chrono::seconds(1);
  for (;;) {
    auto ticket = changed_.ticket();
    if (!any(ino)) co_return Result<void>{};
    auto woken = co_await with_timeout(kLookAgain, changed(ticket));
    if (!woken && woken.error() == posix(ECANCELED)) co_return posix(EINTR);
  }
}

void OpenTable::add(Ino ino) {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  ++shard.inodes[ino].opens;
}

OpenTable::Left OpenTable::remove(Ino ino) {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  auto it = shard.inodes.find(ino);
  if (it == shard.inodes.end() || --it->second.opens > 0) return Left::others;
  auto left = it->second.unlinked ? Left::none_nameless : Left::none;
  shard.inodes.erase(it);
  return left;
}

bool OpenTable::contains(Ino ino) const {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  return shard.inodes.contains(ino);
}

bool OpenTable::mark_unlinked(Ino ino, Fate fate) {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  auto it = shard.inodes.find(ino);
  if (it == shard.inodes.end()) return false;
  if (fate == Fate::erased) it->second.erased = true;
  return it->second.unlinked = true;
}

bool OpenTable::erased(Ino ino) const {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  auto it = shard.inodes.find(ino);
  return it != shard.inodes.end() && it->second.erased;
}

void OpenTable::mark_range_locked(Ino ino) {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  if (auto it = shard.inodes.find(ino); it != shard.inodes.end()) it->second.range_locked = true;
}

bool OpenTable::range_locked(Ino ino) const {
  auto& shard = shard_of(ino);
  std::lock_guard hold(shard.guard);
  auto it = shard.inodes.find(ino);
  return it != shard.inodes.end() && it->second.range_locked;
}

std::vector<Ino> OpenTable::unlinked() const {
  std::vector<Ino> found;
  for (auto& shard : shards_) {
    std::lock_guard hold(shard.guard);
    for (auto& [ino, state] : shard.inodes)
      if (state.unlinked) found.push_back(ino);
  }
  return found;
}

namespace {
std::uint64_t version_of(Ino ino, const meta::Attr& attr) {
  auto mix = [](std::uint64_t a, std::uint64_t b) { return (a ^ b) * 0x9E3779B97F4A7C15u; };
  auto hash = ino.value;  // ctime too: a copy may set mtime back
  for (auto time : {attr.mtime, attr.ctime}) hash = mix(mix(hash, static_cast<std::uint64_t>(time.sec)), time.nsec);
  hash = mix(hash, attr.length);
  return (hash ^ (hash >> 32)) & ~std::uint64_t{1};
}
}  // namespace

PageCacheVersions::Opened PageCacheVersions::opened(Ino ino, const meta::Attr& attr) {
  auto& slot = slot_of(ino);
  auto version = version_of(ino, attr), seen = slot.load();
  if (seen == (version | 1u)) return {.keep = true, .dropping = 0};
  if (seen != version) slot.store(version);
  return {.keep = false, .dropping = version};
}

void PageCacheVersions::dropped(Ino ino, std::uint64_t dropping) {
  slot_of(ino).compare_exchange_strong(dropping, dropping | 1u);
}

void PageCacheVersions::forget(Ino ino) { slot_of(ino).store(0); }

/// A word. 16 bits tell the inodes of a slot apart; of the time of the last answer the lowest byte remains.
struct ToldVersions::Entry {
  std::uint32_t version;
  std::uint16_t tag;  ///< 0: the slot is empty
  std::uint8_t second;
  bool settled;

  static Entry of(Ino ino, const meta::Attr& attr) {
    auto time = std::chrono::steady_clock::now().time_since_epoch();
    return {static_cast<std::uint32_t>(version_of(ino, attr) >> 32),
            static_cast<std::uint16_t>(std::hash<Ino>()(ino) % 0xFFFF + 1),
            static_cast<std::uint8_t>(std::chrono::duration_cast<std::chrono::seconds>(time).count()), true};
  }
  static Entry from(std::uint64_t word) { return std::bit_cast<Entry>(word); }
  std::uint64_t word() const { return std::bit_cast<std::uint64_t>(*this); }
  bool is(const Entry& other) const { return tag == other.tag && version == other.version; }
};

ToldVersions::ToldVersions(std::chrono::nanoseconds believed_for)
    : believed_seconds_(std::chrono::ceil<std::chrono::seconds>(believed_for).count()), slots_(kSlots) {}

void ToldVersions::told(Ino ino, const meta::Attr& attr) {
  auto& slot = slot_of(ino);
  auto now = Entry::of(ino, attr);
  for (auto word = slot.load(std::memory_order_relaxed);;) {  // another loop may be telling of another version
    auto before = Entry::from(word);
    now.settled = true;
    if (before.tag == now.tag)
      now.settled = before.version == now.version && before.settled;
    else if (before.tag != 0)  // another inode's: ours may have had the slot before, and be believed still
      now.settled = static_cast<std::uint8_t>(now.second - before.second) > believed_seconds_ + 1;
    if (slot.compare_exchange_weak(word, now.word(), std::memory_order_relaxed)) return;
  }
}

bool ToldVersions::believes(Ino ino, const meta::Attr& attr) {
  auto entry = Entry::from(slot_of(ino).load(std::memory_order_relaxed));
  return entry.settled && entry.is(Entry::of(ino, attr));
}

bool ToldVersions::told_last(Ino ino, const meta::Attr& attr) {
  return Entry::of(ino, attr).is(Entry::from(slot_of(ino).load(std::memory_order_relaxed)));
}

void ToldVersions::forgotten(Ino ino, const meta::Attr& attr) {
  auto& slot = slot_of(ino);
  auto before = slot.load(std::memory_order_relaxed);
  auto now = Entry::of(ino, attr);
  if (now.is(Entry::from(before))) slot.compare_exchange_strong(before, now.word(), std::memory_order_relaxed);
}

}  // namespace kiseki::vfs
