#include "chunk/block_reader.hpp"

#include <array>
#include <bit>
#include <mutex>
#include <unordered_map>

#include "core/log.hpp"

namespace kiseki::chunk {

namespace {
constexpr std::size_t kShards = 16;
constexpr std::size_t kPrefetchQueue = 8;  // per worker: beyond, a prefetch is forgotten
constexpr double kPlenty = 0.85;           // arena pressure up to which prefetching is worth its memory

/// Adds to a counter for as long as it lives.
class Counted {
 public:
  struct Already {};
  Counted(std::atomic<std::size_t>& counter, std::size_t amount) : counter_(counter), amount_(amount) {
    counter_ += amount_;
  }
  Counted(std::atomic<std::size_t>& counter, std::size_t amount, Already) : counter_(counter), amount_(amount) {}
  ~Counted() { counter_ -= amount_; }
  Counted(const Counted&) = delete;

 private:
  std::atomic<std::size_t>& counter_;
  std::size_t amount_;
};

}  // namespace

/// One load under way and those who wait for it.
struct BlockReader::Flight {
  Signal landed;
  std::mutex mutex;  // guards result
  std::optional<Result<BlockPtr>> result;

  std::optional<Result<BlockPtr>> look() {
    std::lock_guard lock(mutex);
    return result;
  }
  void land(Result<BlockPtr> with) {
    {
      std::lock_guard lock(mutex);
      result = std::move(with);
    }
    landed.notify_all();
  }
};

struct BlockReader::Flights {
  struct Shard {
    std::mutex mutex;
    std::unordered_map<BlockId, std::shared_ptr<Flight>> flights;
  };
  std::array<Shard, kShards> shards;
  Shard& of(BlockId id) { return shards[std::hash<BlockId>()(id) % kShards]; }

  /// The flight of a block, and whether the caller is the one to fly it.
  std::pair<std::shared_ptr<Flight>, bool> board(BlockId id) {
    auto& shard = of(id);
    std::lock_guard lock(shard.mutex);
    auto& slot = shard.flights[id];
    if (slot) return {slot, false};
    slot = std::make_shared<Flight>();
    return {slot, true};
  }
  void leave(BlockId id) {
    auto& shard = of(id);
    std::lock_guard lock(shard.mutex);
    shard.flights.erase(id);
  }
};

BlockReader::BlockReader(object::StorePtr store, BlockLayout layout, BufferArena& arena, BlockCache& cache,
                         asio::any_io_executor home, Options options)
    : store_(std::move(store)),
      layout_(layout),
      arena_(arena),
      cache_(cache),
      options_(options),
      flights_(std::make_unique<Flights>()),
      tasks_(std::move(home)) {}

BlockReader::~BlockReader() = default;

bool BlockReader::loading(BlockId id) const {
  auto& shard = flights_->of(id);
  std::lock_guard lock(shard.mutex);
  return shard.flights.contains(id);
}

Async<BlockPtr> BlockReader::load(BlockSpec block) {
  for (;;) {
    if (auto hit = cache_.find(block.id(), 0, 0)) co_return hit;
    auto [flight, ours] = flights_->board(block.id());
    if (ours) co_return co_await fly(block, flight);
    auto ticket = flight->landed.ticket();
    auto result = flight->look();
    if (!result) {
      co_await flight->landed.wait(ticket);
      result = flight->look();
    }
    // The one who flew it was cancelled: that is no answer for us.
    if (result && (*result || result->error() != posix(ECANCELED))) co_return *result;
  }
}

/// Loads the block for everyone on board, whatever ends this coroutine.
Async<BlockPtr> BlockReader::fly(BlockSpec block, std::shared_ptr<Flight> flight) {
  struct Landing {
    BlockReader& reader;
    BlockId id;
    std::shared_ptr<Flight> flight;
    Result<BlockPtr> result = posix(ECANCELED);
    ~Landing() {
      reader.flights_->leave(id);
      flight->land(result);
    }
  };
  Landing landing{*this, block.id(), std::move(flight)};
  landing.result = co_await fetch(block);
  co_return landing.result;
}

Async<BlockPtr> BlockReader::fetch(BlockSpec block) {
  auto length = length_of(block);
  if (length == 0) co_return posix(EIO);
  auto memory = std::max<std::size_t>(64 << 10, std::bit_ceil(std::size_t{length}));
  Counted counted(loading_bytes_, memory);
  auto most = static_cast<std::size_t>(options_.load_share * static_cast<double>(arena_.limit_bytes()));
  if (loading_bytes_ > std::max(most, memory)) co_return posix(ENOBUFS);
  auto buffer = arena_.try_allocate(length);
  if (!buffer && cache_.make_room(memory) >= memory) buffer = arena_.try_allocate(length);
  if (!buffer) co_return posix(ENOBUFS);
  CO_CHECK(co_await read_range(block, 0, {buffer->data(), length}));
  BlockPtr loaded(new Block(std::move(buffer), length));
  cache_.insert(block.id(), loaded);
  co_return loaded;
}

Async<void> BlockReader::read_range(BlockSpec block, std::uint32_t from, std::span<std::byte> into) {
  auto key = block_key(layout_, block.id(), length_of(block));
  CO_TRY(auto got, co_await store_->get(key, from, into));
  if (got != into.size()) {
    log::error("block.short", {{"key", key}, {"offset", from}, {"wanted", into.size()}, {"got", got}});
    co_return posix(EIO);
  }
  co_return Result<void>{};
}

void BlockReader::prefetch(BlockSpec block) {
  if (options_.prefetch_workers == 0 || cache_.capacity_bytes() == 0) return;
  if (prefetching_ >= options_.prefetch_workers * kPrefetchQueue || arena_.waiting() > 0) return;
  if (loading_bytes_ >
      static_cast<std::size_t>(options_.load_share * kPlenty * static_cast<double>(arena_.limit_bytes())))
    return;
  if (cache_.contains(block.id()) || loading(block.id())) return;
  ++prefetching_;
  tasks_.spawn(prefetch_one(block));
}

asio::awaitable<void> BlockReader::prefetch_one(BlockSpec block) {
  Counted counted(prefetching_, 1, Counted::Already{});  // by `prefetch`
  (void)co_await load(block);                            // a failure shows when somebody reads the block
}

asio::awaitable<void> BlockReader::close() { co_await tasks_.close(); }

}  // namespace kiseki::chunk
