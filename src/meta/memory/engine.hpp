#pragma once

#include <memory>
#include <mutex>

#include "meta/engine.hpp"
#include "meta/memory/tables.hpp"

namespace kiseki::meta {

/// A volume that lives and dies with the process: for tests. Same semantics as the stored engines; thread-safe.
class MemoryEngine : public MetaEngine {
 public:
  struct Options {
    bool post = false;     ///< every call yields to the loop once before it acts, so that calls interleave
    bool coherent = true;  ///< what `coherent()` answers
  };
  MemoryEngine() : MemoryEngine(Options{}) {}
  explicit MemoryEngine(Options options) : options_(options) {}

  Async<Records> fetch(Keys keys) override;
  Async<Outcome> commit(Commit commit) override;
  bool coherent() const noexcept override { return options_.coherent; }
  void observe(ChangeObserver* observer) noexcept override { observer_ = observer; }

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

  Async<void> prepare() override { co_return Result<void>(); }
  std::string name() const override { return "memory"; }
  asio::awaitable<void> close() override { co_return; }

 private:
  asio::awaitable<void> pause() const;
  template <class T, class F>
  Async<T> locked(F read);

  const Options options_;
  ChangeObserver* observer_ = nullptr;
  std::mutex mutex_;  ///< guards tables_, and keeps observer calls in commit order
  memory::Tables tables_;
};

}  // namespace kiseki::meta
