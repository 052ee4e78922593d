#pragma once

#include <utility>

namespace kiseki {

/// Runs `f` when it goes out of scope, unless dismissed or moved from. As the one member of a lease that gives
/// something back, it lets the lease default its moves. `f` must not throw.
template <class F>
class [[nodiscard]] Guard {
 public:
  explicit Guard(F f) : f_(std::move(f)) {}
  Guard(Guard&& other) noexcept : f_(std::move(other.f_)), armed_(std::exchange(other.armed_, false)) {}
  Guard& operator=(Guard&& other) noexcept {
    if (this == &other) return *this;
    run();
    f_ = std::move(other.f_);
    armed_ = std::exchange(other.armed_, false);
    return *this;
  }
  ~Guard() { run(); }

  void dismiss() noexcept { armed_ = false; }
  void run() noexcept {  ///< now instead of at the end of the scope; once
    if (std::exchange(armed_, false)) f_();
  }

 private:
  F f_;
  bool armed_ = true;
};

}  // namespace kiseki
