#include "net/redis/episode.hpp"

#include "core/log.hpp"

namespace kiseki::net::redis {

Episode::Episode(std::string_view begins, std::string_view over, std::string server)
    : begins_(begins), over_(over), server_(std::move(server)) {}

void Episode::trouble(const std::string& what) {
  if (bad_.exchange(true)) return;
  {
    std::lock_guard lock(mutex_);
    since_ = std::chrono::steady_clock::now();
  }
  log::warn(begins_, {{"server", server_}, {"reason", what}});
}

void Episode::good() noexcept {
  if (!bad_.load(std::memory_order_relaxed) || !bad_.exchange(false)) return;
  std::lock_guard lock(mutex_);
  auto time = std::chrono::steady_clock::now() - since_;
  log::warn(over_,
            {{"server", server_}, {"after_ms", std::chrono::duration_cast<std::chrono::milliseconds>(time).count()}});
}

}  // namespace kiseki::net::redis
