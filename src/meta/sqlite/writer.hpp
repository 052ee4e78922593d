#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "core/inbox.hpp"
#include "meta/sqlite/batch.hpp"
#include "meta/sqlite/coherence.hpp"

namespace kiseki::meta::sqlite {

/// Writes. All commits that wait go into one SQL transaction (group commit); no timer forms batches: what arrives while
/// one is committed is the next. One thread writes at a time, on the CPU of whoever brought it work: waking a thread on
/// another, sleeping CPU takes longer than the commit.
class Writer {
 public:
  struct Pending {
    Commit commit;
    Result<Outcome> result = posix(EIO);
    detail::Inbox::Letter caller;
  };

  /// `patience`: how long to wait for another process's write lock before ETIMEDOUT.
  Writer(std::unique_ptr<Connection> db, Coherence& coherence, std::chrono::milliseconds patience);
  ~Writer() { stop(); }

  void enqueue(Pending& pending);  ///< any thread
  void stop();                     ///< commits what waits, checkpoints, closes; blocks

 private:
  using Commits = std::span<Pending* const>;

  /// A thread that may write; pinned to a CPU.
  struct Hand {
    explicit Hand(int on) : cpu(on) {}
    const int cpu;
    bool called = false;  ///< to write until the queue is empty; guarded by the mutex
    std::condition_variable wake;
    std::thread thread;
  };

  Hand& hand_here();
  void work(Hand& self);
  void write_queue(std::vector<Pending*>& batch);
  bool take(std::vector<Pending*>& batch);
  void commit_all(Commits pending);
  void commit_each(Commits pending);
  void fail_all(Commits pending, const SqlError& error);
  void execute_patiently(Sql statement);
  void checkpoint(bool closing);

  std::unique_ptr<Connection> db_;
  Batch batch_;
  std::optional<WalHeader> ended_at_;  ///< the header after our last commit, which `batch_` remembers; nothing: unknown
  Coherence& coherence_;
  const std::chrono::milliseconds patience_;
  int wal_pages_ = 0;      ///< in the log after the last commit
  int checkpoint_at_ = 0;  ///< pages in the log
  std::mutex mutex_;       ///< guards what follows
  std::vector<Pending*> queue_;
  std::vector<std::unique_ptr<Hand>> hands_;  ///< made when first called
  bool writing_ = false;                      ///< a hand was called and has not found the queue empty yet
  bool stopping_ = false;
};

}  // namespace kiseki::meta::sqlite
