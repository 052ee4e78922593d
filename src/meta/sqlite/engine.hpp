#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "core/async.hpp"
#include "meta/engine.hpp"
#include "meta/failure.hpp"
#include "meta/open_engine.hpp"
#include "meta/sqlite/location.hpp"

namespace kiseki::meta::sqlite {

class Coherence;
class Connection;
class Readers;
class Writer;

/// A volume in a SQLite file, in JuiceFS's schema; other processes may have it open, JuiceFS's too. Two connections
/// read on pool threads, one thread writes with group commit. Loops never block.
class Engine final : public MetaEngine {
 public:
  /// Blocks for the time it takes to open a file. `pool` runs the readers (two threads serve them) and outlives the
  /// engine.
  static Explained<std::shared_ptr<MetaEngine>> open(const Location& location, OpenMode mode, BlockingPool& pool);
  ~Engine() override;

  Async<Records> fetch(Keys keys) override;
  Async<Outcome> commit(Commit commit) override;
  bool coherent() const noexcept override;
  void observe(ChangeObserver* observer) noexcept override;

  Async<EntryPage> scan_entries(Ino dir, std::string cursor, std::size_t limit, bool with_attrs) override;
  Async<std::vector<StoredChunk>> scan_chunks(Ino ino, std::uint64_t length) override;
  Async<std::vector<ChunkIndex>> find_chunks(Ino ino, ChunkIndex first, ChunkIndex end) override;
  Async<std::vector<std::pair<SessionId, Session>>> scan_sessions() override;
  Async<SessionLocks> scan_locks(SessionId sid) override;
  Async<std::vector<DeletedFile>> scan_deleted_files(std::int64_t removed_before, std::size_t limit) override;
  Async<std::vector<std::pair<SliceId, SliceRef>>> scan_dead_slices(std::size_t limit) override;
  Async<std::vector<DelayedSlices>> scan_delayed_slices(std::int64_t replaced_before, std::size_t limit) override;
  Async<std::vector<std::pair<QuotaKey, Quota>>> scan_quotas() override;
  Async<std::vector<std::pair<std::uint32_t, AclRule>>> scan_acls() override;

  Async<void> prepare() override;
  std::string name() const override { return "sqlite3"; }
  asio::awaitable<void> close() override;

 private:
  Engine(const Location& location, BlockingPool& pool);
  void start(OpenMode mode);  ///< throws SqlError
  void stop();                ///< blocks; idempotent

  /// Runs `job(Connection&)` on a reader, in a snapshot.
  template <class T>
  Async<T> read(std::function<T(Connection&)> job);

  const Location location_;
  BlockingPool& pool_;
  std::unique_ptr<Coherence> coherence_;
  std::unique_ptr<Readers> readers_;
  std::unique_ptr<Writer> writer_;  ///< none: read-only
};

}  // namespace kiseki::meta::sqlite
