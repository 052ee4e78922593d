#include "core/memory.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <boost/asio/steady_timer.hpp>
#include <cassert>
#include <mutex>
#include <vector>

#include "core/memory_region.hpp"
#include "core/waiter.hpp"

namespace kiseki {
namespace {

using detail::class_bytes;
using detail::kSizeClasses;
using detail::kUnitBytes;

/// How long a waiting `allocate` trusts the last answer of the reclaimers: a cache whose blocks were all in use then
/// may have some to give now, and nothing else would tell us.
constexpr auto kAskAgain = std::chrono::milliseconds(20);

unsigned class_of(std::size_t bytes) {
  return bytes <= kUnitBytes ? 0 : static_cast<unsigned>(std::bit_width((bytes - 1) / kUnitBytes));
}

/// A coroutine in the queue for memory.
struct Request : detail::Waiter {
  explicit Request(unsigned c) : size_class(c) {}
  unsigned size_class;
  std::byte* data = nullptr;  // once granted
};

}  // namespace

struct BufferArena::State {
  explicit State(const Options& o) : options(o), reserve_bytes(std::min(o.limit_bytes / 2, std::size_t{160} << 20)) {
    for (unsigned c = 0; c < kSizeClasses; ++c) {
      regions[c] = std::make_unique<detail::Region>(class_bytes(c), o.limit_bytes / class_bytes(c));
    }
    if (!o.overflow_dir.empty() && o.overflow_bytes >= kUnitBytes) {
      overflow = std::make_unique<detail::OverflowFile>(o.overflow_dir, o.overflow_bytes);
    }
  }

  /// Slots on their way to the kernel: out of the warm list, not yet in the cold one.
  struct Cooling {
    unsigned size_class;
    std::byte* slot;
  };
  using CoolingList = std::vector<Cooling>;

  bool possible(unsigned size_class) const {
    auto bytes = class_bytes(size_class);
    return bytes <= options.limit_bytes || (overflow && bytes <= overflow->bytes());
  }

  std::byte* take(unsigned size_class, CoolingList& cooling);
  void put(std::byte* data, unsigned size_class);
  void cool_warm(std::size_t bytes, CoolingList& cooling);
  void finish_cooling(const CoolingList& cooling);
  void serve(detail::WaiterQueue& woken, CoolingList& cooling);
  void release(std::byte* data, std::size_t size);
  void enqueue(Request& request);
  void leave(Request& request);
  void serve_and_unlock(std::unique_lock<std::mutex> lock);
  void serve_again();
  std::byte* try_take(unsigned size_class);
  void reclaim(std::size_t extra);

  const Options options;
  const std::size_t reserve_bytes;
  mutable std::mutex mutex;  // guards what follows; never held while calling out
  std::array<std::unique_ptr<detail::Region>, kSizeClasses> regions;
  std::unique_ptr<detail::OverflowFile> overflow;
  std::size_t used = 0;           // of the limit
  std::size_t warm = 0;           // free, still resident
  std::size_t overflow_used = 0;  // of the overflow file
  std::size_t queued = 0;         // bytes wanted by `queue`
  detail::WaiterQueue queue;
  std::mutex reclaimers_mutex;  // guards `reclaimers`
  std::vector<std::shared_ptr<Reclaimer>> reclaimers;
};

/// Under the mutex: memory of the class, or nullptr when there is no room.
std::byte* BufferArena::State::take(unsigned size_class, CoolingList& cooling) {
  auto bytes = class_bytes(size_class);
  if (bytes <= options.limit_bytes - used) {
    auto was_warm = regions[size_class]->has_warm();
    if (auto* data = regions[size_class]->take()) {
      used += bytes;
      if (was_warm) warm -= bytes;
      if (used + warm > options.limit_bytes) cool_warm(used + warm - options.limit_bytes, cooling);
      return data;
    }
    // Every slot is on its way to the kernel (`finish_cooling` serves the queue again), or the kernel refuses.
  }
  auto* data = overflow ? overflow->take(size_class) : nullptr;
  if (data) overflow_used += bytes;
  return data;
}

/// Under the mutex: the reverse of `take`, keeping the memory warm.
void BufferArena::State::put(std::byte* data, unsigned size_class) {
  auto bytes = class_bytes(size_class);
  if (overflow && overflow->owns(data)) {
    overflow->put(data, size_class);
    overflow_used -= bytes;
    return;
  }
  used -= bytes;
  warm += bytes;
  regions[size_class]->put_warm(data);
}

/// Under the mutex: takes at least `bytes` of warm slots out, the largest first.
void BufferArena::State::cool_warm(std::size_t bytes, CoolingList& cooling) {
  std::size_t found = 0;
  for (auto c = kSizeClasses; c-- > 0;) {
    while (found < bytes && regions[c]->has_warm()) {
      cooling.push_back({c, regions[c]->take_warm()});
      found += class_bytes(c);
    }
  }
  warm -= found;
}

/// Without the mutex.
void BufferArena::State::finish_cooling(const CoolingList& cooling) {
  if (cooling.empty()) return;
  for (auto [c, slot] : cooling) regions[c]->cool(slot);
  std::unique_lock lock(mutex);
  for (auto [c, slot] : cooling) regions[c]->put_cold(slot);
  if (!queue.empty()) serve_and_unlock(std::move(lock));
}

/// Under the mutex: first come, first served; a big request at the front is not overtaken by small ones behind it.
void BufferArena::State::serve(detail::WaiterQueue& woken, CoolingList& cooling) {
  while (!queue.empty()) {
    auto& request = static_cast<Request&>(queue.front());
    auto* data = take(request.size_class, cooling);
    if (!data) return;
    queue.pop_front();
    queued -= class_bytes(request.size_class);
    if (!request.claim()) {  // cancelled a moment ago
      put(data, request.size_class);
      continue;
    }
    request.data = data;
    woken.push_back(request);
  }
}

void BufferArena::State::serve_and_unlock(std::unique_lock<std::mutex> lock) {
  detail::WaiterQueue woken;
  CoolingList cooling;
  serve(woken, cooling);
  if (warm > reserve_bytes) cool_warm(warm - reserve_bytes, cooling);
  lock.unlock();
  finish_cooling(cooling);
  while (!woken.empty()) {
    auto& request = woken.front();
    woken.pop_front();
    request.resume(true);
  }
}

/// For what no release will tell us: a cache that can give now, a kernel that has memory again.
void BufferArena::State::serve_again() {
  reclaim(0);
  serve_and_unlock(std::unique_lock(mutex));
}

void BufferArena::State::release(std::byte* data, std::size_t size) {
  std::unique_lock lock(mutex);
  put(data, class_of(size));
  serve_and_unlock(std::move(lock));
}

void BufferArena::State::enqueue(Request& request) {
  std::unique_lock lock(mutex);
  queue.push_back(request);
  queued += class_bytes(request.size_class);
  serve_and_unlock(std::move(lock));
}

/// The request's coroutine is over, served or not.
void BufferArena::State::leave(Request& request) {
  std::unique_lock lock(mutex);
  if (request.queue_hook.is_linked()) {
    queue.erase(queue.iterator_to(request));
    queued -= class_bytes(request.size_class);
  }
  if (auto* unused = std::exchange(request.data, nullptr)) put(unused, request.size_class);
  serve_and_unlock(std::move(lock));
}

std::byte* BufferArena::State::try_take(unsigned size_class) {
  CoolingList cooling;
  std::byte* data = nullptr;
  {
    std::lock_guard lock(mutex);
    if (!queue.empty()) return nullptr;
    data = take(size_class, cooling);
  }
  finish_cooling(cooling);
  return data;
}

/// Asks the caches for what the queue and `extra` bytes more are short of.
void BufferArena::State::reclaim(std::size_t extra) {
  std::size_t missing = 0;
  {
    std::lock_guard lock(mutex);
    auto wanted = used + queued + extra;
    if (wanted <= options.limit_bytes) return;
    missing = wanted - options.limit_bytes;
  }
  std::vector<std::shared_ptr<Reclaimer>> all;
  {
    std::lock_guard lock(reclaimers_mutex);
    all = reclaimers;
  }
  for (const auto& reclaimer : all) {
    auto got = (*reclaimer)(missing);
    if (got >= missing) return;
    missing -= got;
  }
}

Buffer::~Buffer() { arena_.state_->release(data_, size_); }

BufferArena::BufferArena(Options options) : state_(std::make_shared<State>(options)) {}

BufferArena::~BufferArena() {
  assert(used_bytes() == 0 && "a Buffer outlives its arena");
  assert(waiting() == 0);
}

BufferPtr BufferArena::try_allocate(std::size_t bytes) {
  auto c = class_of(bytes);
  if (c >= kSizeClasses) return nullptr;
  auto* data = state_->try_take(c);
  return data ? BufferPtr(new Buffer(*this, data, class_bytes(c))) : nullptr;
}

namespace {

/// Tries again and again while a request waits. Shared with the timer's handler, which may run last.
template <class State>
struct Nagging : std::enable_shared_from_this<Nagging<State>> {
  Nagging(asio::any_io_executor here, std::weak_ptr<State> s) : timer(here), state(std::move(s)) {}
  void start() {
    timer.expires_after(kAskAgain);
    timer.async_wait([self = this->shared_from_this()](boost::system::error_code ec) {
      auto alive = self->state.lock();
      if (ec || self->stopped || !alive) return;
      alive->serve_again();
      self->start();
    });
  }
  void stop() {
    stopped = true;
    timer.cancel();
  }
  asio::steady_timer timer;
  std::weak_ptr<State> state;
  bool stopped = false;
};

}  // namespace

Async<BufferPtr> BufferArena::allocate(std::size_t bytes) {
  auto c = class_of(bytes);
  if (c >= kSizeClasses || !state_->possible(c)) co_return posix(EINVAL);
  if (auto buffer = try_allocate(bytes)) co_return buffer;
  state_->reclaim(class_bytes(c));
  if (auto buffer = try_allocate(bytes)) co_return buffer;
  auto already = co_await asio::this_coro::cancellation_state;
  if (already.cancelled() != asio::cancellation_type::none) co_return posix(ECANCELED);

  struct Place {  // however this frame ends, the queue forgets it and memory granted to it is not lost
    explicit Place(std::shared_ptr<State> s, unsigned size_class, asio::any_io_executor here)
        : state(std::move(s)), request(size_class), nagging(std::make_shared<Nagging<State>>(here, state)) {}
    ~Place() {
      nagging->stop();
      state->leave(request);
    }
    std::shared_ptr<State> state;
    Request request;
    std::shared_ptr<Nagging<State>> nagging;
  } place(state_, c, co_await asio::this_coro::executor);
  place.nagging->start();
  auto woken = co_await detail::park(place.request, [&place] { place.state->enqueue(place.request); });
  if (!woken) co_return posix(ECANCELED);
  auto* data = std::exchange(place.request.data, nullptr);
  co_return BufferPtr(new Buffer(*this, data, class_bytes(c)));
}

void BufferArena::add_reclaimer(Reclaimer reclaimer) {
  std::lock_guard lock(state_->reclaimers_mutex);
  state_->reclaimers.push_back(std::make_shared<Reclaimer>(std::move(reclaimer)));
}

std::size_t BufferArena::used_bytes() const noexcept {
  std::lock_guard lock(state_->mutex);
  return state_->used + state_->overflow_used;
}

std::size_t BufferArena::limit_bytes() const noexcept { return state_->options.limit_bytes; }

double BufferArena::pressure() const noexcept {
  auto limit = std::max<std::size_t>(limit_bytes(), 1);
  return std::min(1.0, static_cast<double>(used_bytes()) / static_cast<double>(limit));
}

std::size_t BufferArena::waiting() const noexcept {
  std::lock_guard lock(state_->mutex);
  return state_->queue.size();
}

std::size_t BufferArena::reserved_bytes() const noexcept {
  std::lock_guard lock(state_->mutex);
  return state_->warm;
}

void BufferArena::trim() {
  State::CoolingList cooling;
  {
    std::lock_guard lock(state_->mutex);
    state_->cool_warm(state_->warm, cooling);
  }
  state_->finish_cooling(cooling);
}

}  // namespace kiseki
