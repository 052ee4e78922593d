#include "meta/redis/receipts.hpp"

#include <spdlog/fmt/fmt.h>

#include <random>

namespace kiseki::meta::redis {
namespace {

std::string random_name() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

}  // namespace

Receipts::Receipts() : client_(random_name()) {}

std::string Receipts::Number::sequence_text() const { return fmt::format("{:016}", sequence); }

Receipts::Number Receipts::take() {
  std::lock_guard lock(mutex_);
  Number number;
  number.sequence = ++sequence_;
  if (free_.empty()) {
    number.slot = slots_++;
  } else {
    number.slot = free_.back();
    free_.pop_back();
  }
  return number;
}

void Receipts::give_back(std::size_t slot) {
  std::lock_guard lock(mutex_);
  free_.push_back(slot);
}

bool Receipts::prolong() {
  std::lock_guard lock(mutex_);
  auto now = std::chrono::steady_clock::now();
  if (prolonged_ != std::chrono::steady_clock::time_point() && now - prolonged_ < kLifetime / 6) return false;
  prolonged_ = now;
  return true;
}

}  // namespace kiseki::meta::redis
