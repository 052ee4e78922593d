#include "chunk/block_cache.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace kiseki::chunk {

namespace {

constexpr std::size_t kShards = 16;
constexpr std::uint8_t kMostUses = 3;
constexpr std::size_t kMostGhosts = 16'384;

/// Small blocks share pages of this size, so that a 4 KiB file does not hold 64 KiB.
constexpr std::size_t kShelfBytes = 64 << 10;
constexpr std::uint32_t kSmallBytes = 16 << 10;

struct Entry {
  BlockId id;
  BlockPtr block;
  std::size_t charge = 0;
  std::atomic<std::uint32_t> read_to{0};  // where the last read ended: the next of one pass begins there
  std::atomic<std::uint8_t> uses{0};
  bool in_main = false;  // guarded by the queues' mutex

  void used(std::uint32_t from, std::uint32_t len) {
    auto expected = read_to.exchange(from + len, std::memory_order_relaxed);
    if (from == expected && from != 0) return;
    auto count = uses.load(std::memory_order_relaxed);
    if (count < kMostUses) uses.store(static_cast<std::uint8_t>(count + 1), std::memory_order_relaxed);
  }
};
using EntryPtr = std::shared_ptr<Entry>;

/// What the arena gets back when this block goes: nothing for pages that a reply or a neighbour still holds.
std::size_t memory_held_alone(const Block& block) {
  if (block.use_count() > 1) return 0;
  std::size_t bytes = 0;
  for (const auto& page : block.pages())
    if (page.buffer->use_count() == 1) bytes += page.buffer->size();
  return bytes;
}

}  // namespace

struct BlockCache::State {
  State(BufferArena& the_arena, std::size_t capacity_bytes) : arena(the_arena), capacity(capacity_bytes) {}

  struct Shard {
    mutable std::mutex mutex;  // guards entries
    std::unordered_map<BlockId, EntryPtr> entries;
    std::atomic<std::uint64_t> hits{0}, misses{0}, hit_bytes{0}, miss_bytes{0};
  };
  Shard& shard_of(BlockId id) { return shards[std::hash<BlockId>()(id) % kShards]; }

  BufferArena& arena;
  std::size_t capacity;
  std::array<Shard, kShards> shards;

  std::mutex queues_mutex;  // guards the queues and ghosts; taken before a shard's mutex, never inside one
  std::deque<EntryPtr> newcomers, residents;  // erased entries (block == null) leave when they reach the front
  std::size_t newcomer_bytes = 0, resident_bytes = 0;
  std::unordered_set<BlockId> ghosts;
  std::deque<BlockId> ghost_order;

  std::mutex shelf_mutex;  // guards the two below; never taken under queues_mutex
  BufferPtr shelf;         // the page small blocks are being copied to
  std::uint32_t shelf_used = 0;

  std::atomic<std::size_t> bytes{0}, blocks{0};
  std::atomic<std::uint64_t> inserts{0}, evictions{0};

  void remember_ghost(BlockId id) {
    if (!ghosts.insert(id).second) return;
    ghost_order.push_back(id);
    if (ghost_order.size() <= kMostGhosts) return;
    ghosts.erase(ghost_order.front());
    ghost_order.pop_front();
  }

  /// Takes an entry out of the index. The caller holds queues_mutex and drops `victims` after letting it go: the last
  /// owner of a block gives memory back to the arena, which may be calling us right now.
  void drop(const EntryPtr& entry, std::vector<EntryPtr>& victims) {
    auto& shard = shard_of(entry->id);
    std::lock_guard lock(shard.mutex);
    auto found = shard.entries.find(entry->id);
    if (found != shard.entries.end() && found->second == entry) shard.entries.erase(found);
    victims.push_back(entry);
  }

  std::size_t evict_newcomer(std::vector<EntryPtr>& victims) {
    auto entry = std::move(newcomers.front());
    newcomers.pop_front();
    newcomer_bytes -= entry->charge;
    if (entry->uses.load(std::memory_order_relaxed) > 1) {
      entry->uses.store(0, std::memory_order_relaxed);
      entry->in_main = true;
      resident_bytes += entry->charge;
      residents.push_back(std::move(entry));
      return 0;
    }
    remember_ghost(entry->id);
    return leave(std::move(entry), victims);
  }

  std::size_t evict_resident(std::vector<EntryPtr>& victims) {
    auto entry = std::move(residents.front());
    residents.pop_front();
    if (auto uses = entry->uses.load(std::memory_order_relaxed); uses > 0) {
      entry->uses.store(static_cast<std::uint8_t>(uses - 1), std::memory_order_relaxed);
      residents.push_back(std::move(entry));
      return 0;
    }
    resident_bytes -= entry->charge;
    return leave(std::move(entry), victims);
  }

  std::size_t leave(EntryPtr entry, std::vector<EntryPtr>& victims) {
    auto freed = memory_held_alone(*entry->block);
    bytes -= entry->charge;
    --blocks;
    ++evictions;
    drop(entry, victims);
    return freed;
  }

  bool empty() const { return newcomers.empty() && residents.empty(); }
  /// One step towards less: evicts, promotes or ages one entry. Returns the memory given back. Holds queues_mutex.
  std::size_t evict_step(std::vector<EntryPtr>& victims) {
    bool from_newcomers = !newcomers.empty() && (residents.empty() || newcomer_bytes * 10 > capacity);
    return from_newcomers ? evict_newcomer(victims) : evict_resident(victims);
  }

  std::size_t reclaim(std::size_t wanted) {
    std::vector<EntryPtr> victims;
    std::lock_guard lock(queues_mutex);
    std::size_t freed = 0;
    while (freed < wanted && !empty()) freed += evict_step(victims);
    return freed;
  }

  /// A copy of a small block on a page it shares with others; the block itself when there is no memory for that.
  BlockPtr shelve(BlockPtr block, std::size_t& charge) {
    charge = block->memory_bytes();
    if (block->size() > kSmallBytes) return block;
    std::lock_guard lock(shelf_mutex);
    if (!shelf || shelf_used + block->size() > kShelfBytes) {
      shelf = arena.try_allocate(kShelfBytes);
      shelf_used = 0;
      if (!shelf) return block;
    }
    auto offset = shelf_used;
    charge = (block->size() + 63) & ~63u;
    shelf_used += static_cast<std::uint32_t>(charge);
    block->copy(0, {shelf->data() + offset, block->size()});
    return BlockPtr(new Block(std::vector<Block::Page>{{shelf, offset, block->size()}}));
  }
};

BlockCache::BlockCache(BufferArena& arena, std::size_t capacity_bytes)
    : state_(std::make_shared<State>(arena, capacity_bytes)) {
  auto reclaim = [weak = std::weak_ptr(state_)](std::size_t wanted) -> std::size_t {
    auto state = weak.lock();
    return state ? state->reclaim(wanted) : 0;
  };
  arena.add_reclaimer(std::move(reclaim));
}

BlockCache::~BlockCache() { clear(); }

BlockPtr BlockCache::find(BlockId id, std::uint32_t from, std::uint32_t len) {
  auto& shard = state_->shard_of(id);
  {
    std::lock_guard lock(shard.mutex);
    if (auto found = shard.entries.find(id); found != shard.entries.end()) {
      found->second->used(from, len);
      shard.hits.fetch_add(1, std::memory_order_relaxed);
      shard.hit_bytes.fetch_add(len, std::memory_order_relaxed);
      return found->second->block;
    }
  }
  shard.misses.fetch_add(1, std::memory_order_relaxed);
  shard.miss_bytes.fetch_add(len, std::memory_order_relaxed);
  return nullptr;
}

bool BlockCache::contains(BlockId id) const {
  auto& shard = state_->shard_of(id);
  std::lock_guard lock(shard.mutex);
  return shard.entries.contains(id);
}

void BlockCache::insert(BlockId id, BlockPtr block) {
  auto& state = *state_;
  if (block->memory_bytes() > state.capacity) return;
  std::vector<EntryPtr> victims;  // let go after the lock
  auto entry = std::make_shared<Entry>();
  entry->id = id;
  entry->block = state.shelve(std::move(block), entry->charge);
  {
    auto& shard = state.shard_of(id);
    std::lock_guard lock(shard.mutex);
    if (!shard.entries.emplace(id, entry).second) return;
  }
  std::lock_guard lock(state.queues_mutex);
  ++state.inserts;
  ++state.blocks;
  state.bytes += entry->charge;
  if (state.ghosts.contains(id)) {
    entry->in_main = true;
    state.resident_bytes += entry->charge;
    state.residents.push_back(entry);
  } else {
    state.newcomer_bytes += entry->charge;
    state.newcomers.push_back(entry);
  }
  while (state.bytes > state.capacity && !state.empty()) state.evict_step(victims);
}

void BlockCache::erase(BlockId id) {
  EntryPtr gone;
  auto& shard = state_->shard_of(id);
  {
    std::lock_guard lock(shard.mutex);
    auto found = shard.entries.find(id);
    if (found == shard.entries.end()) return;
    gone = std::move(found->second);
    shard.entries.erase(found);
  }
  std::lock_guard lock(state_->queues_mutex);
  auto& queue = gone->in_main ? state_->residents : state_->newcomers;
  auto at = std::find(queue.begin(), queue.end(), gone);
  if (at == queue.end()) return;  // evicted meanwhile
  queue.erase(at);
  (gone->in_main ? state_->resident_bytes : state_->newcomer_bytes) -= gone->charge;
  state_->bytes -= gone->charge;
  --state_->blocks;
}

void BlockCache::clear() { state_->reclaim(~std::size_t{0}); }

std::size_t BlockCache::make_room(std::size_t bytes) { return state_->reclaim(bytes); }

BlockCache::Counts BlockCache::counts() const {
  Counts sum;
  sum.blocks = state_->blocks;
  sum.bytes = state_->bytes;
  sum.inserts = state_->inserts;
  sum.evictions = state_->evictions;
  for (const auto& shard : state_->shards) {
    sum.hits += shard.hits;
    sum.misses += shard.misses;
    sum.hit_bytes += shard.hit_bytes;
    sum.miss_bytes += shard.miss_bytes;
  }
  return sum;
}

std::size_t BlockCache::capacity_bytes() const { return state_->capacity; }

}  // namespace kiseki::chunk
