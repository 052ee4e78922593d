#include "net/http_pool.hpp"

#include <algorithm>

namespace kiseki::net {

namespace {
constexpr auto kTick = std::chrono::milliseconds(100);
constexpr auto kSlowTick = std::chrono::seconds(2);
constexpr int kQuietTicks = 20;  // before slow ones do
}  // namespace

HttpPool::Lease::Lease(std::shared_ptr<HttpPool> pool, std::unique_ptr<HttpConnection> connection)
    : pool_(std::move(pool)), connection_(std::move(connection)) {
  pool_->begin(*connection_);
}

HttpPool::Lease::~Lease() {
  if (connection_) pool_->end(*connection_);
}

void HttpPool::Lease::give_back(std::chrono::nanoseconds keep) {
  auto connection = std::move(connection_);
  pool_->end(*connection);
  if (pool_->shut_down_ || pool_->idle_.size() >= pool_->most_idle_) return;
  connection->keep_until = HttpConnection::SteadyClock::now() + keep;
  pool_->idle_.push_back(std::move(connection));
}

HttpPool::Lease HttpPool::take_idle() {
  auto now = HttpConnection::SteadyClock::now();
  while (!idle_.empty()) {
    auto connection = std::move(idle_.back());
    idle_.pop_back();
    if (now < connection->keep_until && connection->alive()) return Lease(shared_from_this(), std::move(connection));
  }
  return {};
}

HttpPool::Lease HttpPool::fresh() {
  return Lease(shared_from_this(), std::make_unique<HttpConnection>(executor_, timeouts_));
}

void HttpPool::shut_down() {
  shut_down_ = true;
  idle_.clear();
  timer_.reset();
}

void HttpPool::begin(HttpConnection& connection) {
  connection.place = busy_.size();
  busy_.push_back(&connection);
  quiet_ticks_ = 0;
  if (slow_ && timer_) timer_->cancel();  // the tick that ends so goes on fast
  if (!ticking_) tick_soon();
}

void HttpPool::end(HttpConnection& connection) {
  busy_[connection.place] = busy_.back();
  busy_[connection.place]->place = connection.place;
  busy_.pop_back();
}

void HttpPool::tick_soon() {
  if (shut_down_) return;
  ticking_ = true;
  slow_ = quiet_ticks_ >= kQuietTicks;
  timer_->expires_after(slow_ ? HttpConnection::SteadyClock::duration(kSlowTick) : kTick);
  timer_->async_wait([weak = weak_from_this()](boost::system::error_code) {
    if (auto pool = weak.lock()) pool->tick();
  });
}

void HttpPool::tick() {
  ticking_ = false;
  auto now = HttpConnection::SteadyClock::now();
  // `check` closes a socket; whoever waits for it resumes later, so the list stands still meanwhile.
  for (auto* connection : busy_) connection->check(now);
  std::erase_if(idle_, [now](const auto& connection) { return now >= connection->keep_until; });
  if (busy_.empty() && idle_.empty()) return;
  quiet_ticks_ = busy_.empty() ? quiet_ticks_ + 1 : 0;
  tick_soon();
}

void HttpPoolKeeper::watch(const std::shared_ptr<HttpPool>& pool) {
  std::erase_if(pools_, [](const auto& weak) { return weak.expired(); });
  pools_.push_back(pool);
}

void HttpPoolKeeper::shutdown() noexcept {
  for (const auto& weak : pools_)
    if (auto pool = weak.lock()) pool->shut_down();
}

}  // namespace kiseki::net
