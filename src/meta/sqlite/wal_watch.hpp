#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "meta/sqlite/connection.hpp"

namespace kiseki::meta::sqlite {

/// The 48 bytes of SQLite's WAL-index header that every commit, by any process, changes before anyone can see it
/// (https://sqlite.org/walformat.html): counter of transactions, frames in the log, checksums.
struct WalHeader {
  std::array<std::uint64_t, 6> words{};
  friend bool operator==(const WalHeader&, const WalHeader&) = default;

  static constexpr std::uint32_t kVersion = 3007000;
  std::uint32_t version() const { return static_cast<std::uint32_t>(words[0]); }  ///< native order, as the file has it
  std::uint32_t transactions() const { return static_cast<std::uint32_t>(words[1]); }  ///< iChange: +1 for each commit
};

/// Tells whether anything was committed since a header was noted, without a system call: it reads SQLite's own mapping
/// of the `-shm` file, got through the VFS of an open connection (no descriptor of ours, whose close would drop
/// SQLite's POSIX locks). The connection must outlive the watch.
class WalWatch {
 public:
  /// Watches the database of `db`, when it is in WAL mode and its header is of the known version; else `usable()` is
  /// false.
  void attach(Connection& db);
  bool usable() const noexcept { return header_ != nullptr; }

  /// The header as it is now; only when usable.
  WalHeader read() const noexcept;

  /// The header that caches are right for. Calls of `trust` are serialised; `trusted` runs anywhere.
  void trust(const WalHeader& header) noexcept;
  bool trusted() const noexcept;

 private:
  const volatile std::uint64_t* header_ = nullptr;
  std::atomic<bool> any_{false};
  std::array<std::atomic<std::uint64_t>, 6> trusted_{};
};

}  // namespace kiseki::meta::sqlite
