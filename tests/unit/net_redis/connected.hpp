#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>

#include "core/runtime.hpp"
#include "net/redis/client.hpp"

namespace kiseki::net::redis {

/// A client on two loops, closed at the end.
class Connected {
 public:
  explicit Connected(const std::string& url, ClientOptions options = {}) : runtime_({.loops = 2, .pin = false}) {
    runtime_.start();
    auto address = Address::parse(url);
    if (!address) throw std::runtime_error(address.error().message);
    auto opened = Client::open(*address, options, runtime_);
    if (!opened) throw std::runtime_error(opened.error().message);
    client_ = std::move(*opened);
  }
  ~Connected() {
    if (client_) runtime_.wait(client_->close());
  }
  Client& operator*() { return *client_; }
  Client* operator->() { return client_.get(); }
  Runtime& runtime() { return runtime_; }
  Result<Replies> run(Commands commands, Resend resend = Resend::never) {
    return runtime_.wait(client_->run(std::move(commands), resend));
  }
  Result<Reply> one(Command command, Resend resend = Resend::never) {
    return runtime_.wait(client_->run_one(std::move(command), resend));
  }

 private:
  Runtime runtime_;
  std::shared_ptr<Client> client_;
};

template <class F>
bool soon(F condition, std::chrono::milliseconds limit = std::chrono::milliseconds(5000)) {
  auto end = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < end) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return condition();
}

class Heard final : public InvalidationListener {
 public:
  void changed(std::string_view key) noexcept override {
    std::lock_guard lock(mutex_);
    keys_.emplace(key);
  }
  void everything() noexcept override { ++everything_; }
  bool has(const std::string& key) {
    std::lock_guard lock(mutex_);
    return keys_.contains(key);
  }
  void clear() {
    std::lock_guard lock(mutex_);
    keys_.clear();
  }
  int forgotten() const { return everything_; }

 private:
  std::mutex mutex_;
  std::set<std::string, std::less<>> keys_;
  std::atomic<int> everything_{0};
};

}  // namespace kiseki::net::redis
