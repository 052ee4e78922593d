#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <unordered_map>

#include "core/ids.hpp"

namespace kiseki::vfs {

/// Which files lost writes that had been answered, and to what: what the kernel calls an errseq. Every open file
/// remembers how far it has told of losses, so each tells once, and none of another's behalf. Any thread.
class Losses {
 public:
  /// How many there were, of all files: where a new open file begins.
  std::uint64_t count() const { return count_.load(std::memory_order_acquire); }
  void add(Ino ino, std::error_code why);
  /// What this file lost after the first `told` losses: the latest.
  std::error_code since(std::uint64_t told, Ino ino) const;
  /// Nobody is left who would ask for what was lost of it while there were `known` losses in all. Who has opened it
  /// since may ask for later ones.
  void forget(Ino ino, std::uint64_t known);

 private:
  struct Loss {
    std::error_code why;
    std::uint64_t number = 0;
  };
  std::atomic<std::uint64_t> count_{0};
  mutable std::mutex guard_;  // of `latest_`
  std::unordered_map<Ino, Loss> latest_;
};

}  // namespace kiseki::vfs
