#include "object/faulty_store.hpp"

#include <utility>

namespace kiseki::object {

void FaultyStore::fail_next(Method method, std::error_code error, unsigned times) {
  std::lock_guard lock(mutex_);
  auto& faults = faults_[static_cast<int>(method)];
  faults.insert(faults.end(), times, error);
}

void FaultyStore::lose_next_put_answer(std::error_code error) {
  std::lock_guard lock(mutex_);
  lost_answer_ = error;
}

void FaultyStore::judge(Judge judge) {
  std::lock_guard lock(mutex_);
  judge_ = std::move(judge);
}

void FaultyStore::gate(Gate gate) {
  std::lock_guard lock(mutex_);
  gate_ = std::move(gate);
}

std::size_t FaultyStore::requests(Method method) const {
  std::lock_guard lock(mutex_);
  return requests_[static_cast<int>(method)];
}

Async<void> FaultyStore::admit(Method method, ObjectKey key) {
  std::error_code error;
  Gate gate;
  {
    std::lock_guard lock(mutex_);
    ++requests_[static_cast<int>(method)];
    auto& faults = faults_[static_cast<int>(method)];
    if (!faults.empty()) {
      error = faults.front();
      faults.pop_front();
    } else if (judge_) {
      error = judge_(method, key);
    }
    gate = gate_;
  }
  if (gate) co_await gate(method, key);
  if (error) co_return error;
  co_return Result<void>{};
}

Async<std::size_t> FaultyStore::get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) {
  CO_CHECK(co_await admit(Method::get, key));
  co_return co_await inner_->get(std::move(key), offset, into);
}

Async<void> FaultyStore::put(ObjectKey key, Body body) {
  CO_CHECK(co_await admit(Method::put, key));
  CO_CHECK(co_await inner_->put(std::move(key), std::move(body)));
  std::error_code lost;
  {
    std::lock_guard lock(mutex_);
    lost = std::exchange(lost_answer_, {});
  }
  if (lost) co_return lost;
  co_return Result<void>{};
}

Async<void> FaultyStore::remove(ObjectKey key) {
  CO_CHECK(co_await admit(Method::remove, key));
  co_return co_await inner_->remove(std::move(key));
}

Async<ObjectInfo> FaultyStore::head(ObjectKey key) {
  CO_CHECK(co_await admit(Method::head, key));
  co_return co_await inner_->head(std::move(key));
}

Async<ObjectPage> FaultyStore::list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) {
  CO_CHECK(co_await admit(Method::list, prefix));
  co_return co_await inner_->list(std::move(prefix), std::move(after), limit, std::move(delimiter));
}

}  // namespace kiseki::object
