#pragma once

namespace kiseki::detail {

/// A job of a BlockingPool as the pool's queue links it. The pool does not touch it after calling `execute`.
struct PoolNode {
  virtual void execute() noexcept = 0;
  PoolNode* next = nullptr;

 protected:
  ~PoolNode() = default;
};

}  // namespace kiseki::detail
