#pragma once

// Heavy: for .cpp files of net only.

#include <boost/asio/execution_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "net/http_connection.hpp"

namespace kiseki::net {

/// The connections of one client on one loop. Everything runs there; only the last owner may let go elsewhere. While
/// requests run, ten times a second each busy connection is asked whether it waits too long; idle ones end in time.
class HttpPool : public std::enable_shared_from_this<HttpPool> {
 public:
  HttpPool(asio::any_io_executor executor, HttpTimeouts timeouts, std::size_t most_idle)
      : executor_(std::move(executor)), timeouts_(timeouts), most_idle_(most_idle), timer_(std::in_place, executor_) {}

  /// A connection in use; ends with its lease unless it was given back.
  class Lease {
   public:
    Lease() = default;
    Lease(std::shared_ptr<HttpPool> pool, std::unique_ptr<HttpConnection> connection);
    Lease(Lease&&) noexcept = default;
    Lease& operator=(Lease&& other) noexcept {
      std::swap(pool_, other.pool_);
      std::swap(connection_, other.connection_);
      return *this;
    }
    ~Lease();
    explicit operator bool() const { return connection_ != nullptr; }
    HttpConnection* operator->() const { return connection_.get(); }
    void give_back(std::chrono::nanoseconds keep);  ///< kept for the next request

   private:
    std::shared_ptr<HttpPool> pool_;
    std::unique_ptr<HttpConnection> connection_;
  };

  Lease take_idle();  ///< the one used last that is still alive; empty: there is none
  Lease fresh();      ///< not connected yet
  /// All idle ones end, and those that come back: their loop is going away, and we may live longer.
  void shut_down();
  bool is_shut_down() const { return shut_down_; }
  const HttpTimeouts& timeouts() const { return timeouts_; }

 private:
  void begin(HttpConnection& connection);
  void end(HttpConnection& connection);
  void tick_soon();
  void tick();

  asio::any_io_executor executor_;
  const HttpTimeouts timeouts_;
  const std::size_t most_idle_;
  std::optional<asio::steady_timer> timer_;            // gone once shut down
  std::vector<std::unique_ptr<HttpConnection>> idle_;  // used last at the end
  std::vector<HttpConnection*> busy_;
  int quiet_ticks_ = 0;
  bool ticking_ = false, slow_ = false, shut_down_ = false;
};

/// Tells pools when their loop is destroyed. One per loop, made by it.
class HttpPoolKeeper final : public asio::execution_context::service {
 public:
  static inline asio::execution_context::id id;
  explicit HttpPoolKeeper(asio::execution_context& loop) : service(loop) {}
  void watch(const std::shared_ptr<HttpPool>& pool);  ///< from the loop

 private:
  void shutdown() noexcept override;
  std::vector<std::weak_ptr<HttpPool>> pools_;
};

}  // namespace kiseki::net
