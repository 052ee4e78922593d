#include "vfs/kernel_beliefs.hpp"

#include <algorithm>
#include <bit>
#include <limits>

namespace kiseki::vfs {

namespace {

constexpr auto kUnderWay = std::chrono::seconds(2);  // an answer, until a busy kernel has taken it to heart
constexpr auto kAnyLength = std::numeric_limits<std::uint64_t>::max();

std::uint64_t version_of(Ino ino, const meta::Attr& attr) {
  auto mix = [](std::uint64_t a, std::uint64_t b) { return (a ^ b) * 0x9E3779B97F4A7C15u; };
  auto hash = ino.value;  // ctime too: a copy may set mtime back
  for (auto time : {attr.mtime, attr.ctime}) hash = mix(mix(hash, static_cast<std::uint64_t>(time.sec)), time.nsec);
  hash = mix(hash, attr.length);
  return (hash ^ (hash >> 32)) & ~std::uint64_t{1};
}

}  // namespace

// ---- pages --------------------------------------------------------------------------------------------------------

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

// ---- attributes ---------------------------------------------------------------------------------------------------

ToldAttrs::ToldAttrs(std::chrono::nanoseconds believed_for) : believed_for_(believed_for) {}

ToldAttrs::Entry& ToldAttrs::put(Shard& shard, Ino ino, Entry entry) {
  if (shard.entries.size() >= kMost && shard.entries.evict()) shard.gave_up = Clock::now();
  shard.entries.put(ino, entry, 0);
  return *shard.entries.find(ino, 0);
}

void ToldAttrs::Entry::heed(std::uint64_t told, Clock::time_point now) {
  if (told >= length) {
    length = told;
    cut_at = {};
  } else if (cut_at == Clock::time_point{} || told < cut_to) {
    cut_at = now;
    cut_to = told;
  } else if (now - cut_at > kUnderWay) {
    length = told;
    cut_at = {};
  }
}

void ToldAttrs::told(Ino ino, const meta::Attr& attr) {
  auto now = Clock::now();
  auto version = version_of(ino, attr);
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  auto* known = shard.entries.find(ino, 0);
  if (!known) {
    bool gave_up = shard.gave_up != Clock::time_point{};  // this one, perhaps
    bool believed = gave_up && now - shard.gave_up <= believed_for_;
    known = &put(shard, ino, Entry{version, attr.ctime, gave_up ? kAnyLength : attr.length});
    if (believed) known->state = State::several;
  } else if (known->version != version) {
    // What is older than what it forgot was asked for before that: it will not be believed.
    if (known->state == State::forgot && attr.ctime < known->ctime) return;
    known->version = version;
    known->ctime = attr.ctime;
    known->state = State::several;
  }
  known->heed(attr.length, now);
}

bool ToldAttrs::believes(Ino ino, const meta::Attr& attr) {
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  auto* known = shard.entries.find(ino, 0);
  return known && known->state != State::several && known->version == version_of(ino, attr);
}

bool ToldAttrs::told_last(Ino ino, const meta::Attr& attr) {
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  auto* known = shard.entries.find(ino, 0);
  return known && known->version == version_of(ino, attr);
}

void ToldAttrs::forgotten(Ino ino, const meta::Attr& attr) {
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  auto* known = shard.entries.find(ino, 0);
  if (!known) known = &put(shard, ino, Entry{0, {}, kAnyLength});
  known->version = version_of(ino, attr);
  known->ctime = attr.ctime;
  known->state = State::forgot;
}

void ToldAttrs::resized(Ino ino, std::uint64_t length) {
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  auto* known = shard.entries.find(ino, 0);
  if (!known) return;
  known->length = length;
  known->cut_at = {};
}

void ToldAttrs::written(Ino ino, std::uint64_t end) {
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  if (auto* known = shard.entries.find(ino, 0)) known->length = std::max(known->length, end);
}

bool ToldAttrs::may_cut(Ino ino, std::uint64_t length) {
  auto& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  auto* known = shard.entries.find(ino, 0);
  return known && known->length > length;
}

// ---- names --------------------------------------------------------------------------------------------------------

/// A word: part of the name's hash, and milliseconds.
struct ToldNames::Entry {
  std::uint32_t hash, at;
  static Entry of(Ino parent, std::string_view name) {
    auto hash = (std::hash<std::string_view>()(name) ^ std::hash<Ino>()(parent)) * 0x9E3779B97F4A7C15u;
    auto time = std::chrono::steady_clock::now().time_since_epoch() / std::chrono::milliseconds(1);
    return {static_cast<std::uint32_t>(hash >> 32) | 1u, static_cast<std::uint32_t>(time)};
  }
  static Entry from(std::uint64_t word) { return std::bit_cast<Entry>(word); }
  std::uint64_t word() const { return std::bit_cast<std::uint64_t>(*this); }
  std::size_t slot() const { return hash >> 19; }
};

ToldNames::ToldNames(std::chrono::nanoseconds believed_for) : believed_for_(believed_for), slots_(kSlots) {}

void ToldNames::told(Ino parent, std::string_view name) {
  auto entry = Entry::of(parent, name);
  slots_[entry.slot()].store(entry.word(), std::memory_order_relaxed);
}

bool ToldNames::asked_again(Ino parent, std::string_view name) const {
  auto now = Entry::of(parent, name);
  auto told = Entry::from(slots_[now.slot()].load(std::memory_order_relaxed));
  return told.hash == now.hash && std::chrono::milliseconds(now.at - told.at) <= believed_for_;
}

}  // namespace kiseki::vfs
