#include "meta/sqlite/wal_watch.hpp"

#include <bit>

namespace kiseki::meta::sqlite {
namespace {

constexpr int kRegionBytes = 32 * 1024;  // WALINDEX_PGSZ: the size SQLite maps its index by
static_assert(std::endian::native == std::endian::little, "version() and transactions() pick the low half of a word");

}  // namespace

void WalWatch::attach(Connection& db) {
  if (db.ask("PRAGMA journal_mode") != "wal") return;
  db.ask("SELECT count(*) FROM sqlite_master");  // a first read makes SQLite open and, if need be, recover the index
  sqlite3_file* file = nullptr;
  auto asked = sqlite3_file_control(db.handle(), "main", SQLITE_FCNTL_FILE_POINTER, static_cast<void*>(&file));
  if (asked != SQLITE_OK || !file) return;
  if (!file->pMethods || file->pMethods->iVersion < 2 || !file->pMethods->xShmMap) return;
  volatile void* region = nullptr;
  if (file->pMethods->xShmMap(file, 0, kRegionBytes, 0, &region) != SQLITE_OK || !region) return;
  header_ = static_cast<const volatile std::uint64_t*>(region);
  if (read().version() != WalHeader::kVersion) header_ = nullptr;
}

// SQLite, here or in another process, writes these words without our atomics; a torn read equals no header (checksums).
__attribute__((no_sanitize("thread"))) WalHeader WalWatch::read() const noexcept {
  WalHeader now;
  for (std::size_t i = 0; i < now.words.size(); ++i) now.words[i] = header_[i];
  std::atomic_thread_fence(std::memory_order_acquire);
  return now;
}

void WalWatch::trust(const WalHeader& header) noexcept {
  for (std::size_t i = 0; i < header.words.size(); ++i) trusted_[i].store(header.words[i], std::memory_order_relaxed);
  any_.store(true, std::memory_order_release);
}

bool WalWatch::trusted() const noexcept {
  if (!header_ || !any_.load(std::memory_order_acquire)) return false;
  auto now = read();
  for (std::size_t i = 0; i < now.words.size(); ++i)
    if (trusted_[i].load(std::memory_order_acquire) != now.words[i]) return false;
  return true;
}

}  // namespace kiseki::meta::sqlite
