#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>

#include "meta/engine.hpp"
#include "meta/failure.hpp"
#include "meta/open_engine.hpp"
#include "meta/redis/fetch_gather.hpp"
#include "meta/redis/key_names.hpp"
#include "meta/redis/receipts.hpp"
#include "meta/redis/scans.hpp"
#include "net/redis/client.hpp"

namespace kiseki::meta::redis {

class CommitSteps;

/// A volume on a Redis server, in JuiceFS's keys, shared with any number of clients, JuiceFS's too. A fetch is one
/// command, a commit one script: both atomic, both one round trip. A commit whose reply was lost is sent again; what it
/// did is on record with its receipt.
class Engine final : public MetaEngine, private net::redis::InvalidationListener {
 public:
  /// Blocks until the server was seen. Not from a loop; the runtime has started, and outlives the engine.
  static Explained<std::shared_ptr<MetaEngine>> open(const std::string& url, OpenMode mode, Runtime& runtime);
  Engine(std::shared_ptr<net::redis::Client> client, OpenMode mode);
  ~Engine() override;

  Async<Records> fetch(Keys keys) override;
  Async<Records> fetch_if_reachable(Keys keys) override;
  bool away() const noexcept override { return client_->away(); }
  Async<Outcome> commit(Commit commit) override;
  bool coherent() const noexcept override { return client_->tracking(); }
  bool lags() const noexcept override { return true; }
  Async<void> catch_up() override { return client_->hear_all(); }
  bool sequential() const noexcept override { return false; }  // a connection per loop
  /// A server tracks only the keys that a script declares, and the inode behind a name cannot be declared.
  bool hears_of_children() const noexcept override { return false; }
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
  std::string name() const override { return "redis"; }
  asio::awaitable<void> close() override;

 private:
  void changed(std::string_view key) noexcept override;
  void everything() noexcept override;
  void out_of_touch() noexcept override;
  Async<Records> fetch(Keys keys, net::redis::Resend resend);
  Async<Records> fetch_alone(Keys keys, net::redis::Resend resend);

  Connected connected() const { return {*client_, names_}; }
  /// Until it is known whether the commit was applied, or nobody can tell. Not cancellable.
  Async<std::string> send(net::redis::Strings keys, net::redis::Strings args, bool writes);
  Result<Outcome> outcome_of(const Commit& commit, const CommitSteps& steps, std::string_view answer) const;

  const std::shared_ptr<net::redis::Client> client_;
  const KeyNames names_;
  const bool read_only_;
  Receipts receipts_;
  std::array<FetchGather, 64> gathers_, reachable_gathers_;  ///< of each loop; on larger machines some share one
  std::atomic<bool> wrote_{false};
  std::atomic<std::uint64_t> epoch_{0};  ///< of tracking: counts how often all that was heard of became doubtful
  std::mutex hearing_;                   ///< held while the observer is told of others' changes: it may go at any time
  std::atomic<ChangeObserver*> observer_{nullptr};
};

}  // namespace kiseki::meta::redis
