#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "meta/sqlite/batch.hpp"
#include "meta/sqlite/caller.hpp"
#include "meta/sqlite/coherence.hpp"

namespace kiseki::meta::sqlite {

/// The thread that writes. It takes all commits that wait into one SQL transaction (group commit); no timer forms
/// batches: what arrives while one is committed is the next.
class Writer {
 public:
  struct Pending {
    Commit commit;
    Result<Outcome> result = posix(EIO);
    Caller caller;
  };

  /// `patience`: how long to wait for another process's write lock before ETIMEDOUT.
  Writer(std::unique_ptr<Connection> db, Coherence& coherence, std::chrono::milliseconds patience);
  ~Writer() { stop(); }

  void enqueue(Pending& pending);  ///< any thread
  void stop();                     ///< commits what waits, checkpoints, closes; blocks

 private:
  using Commits = std::span<Pending* const>;

  void loop();
  void commit_all(Commits pending);
  void commit_each(Commits pending);
  void fail_all(Commits pending, const SqlError& error);
  void execute_patiently(Sql statement);
  void checkpoint(bool closing);

  std::unique_ptr<Connection> db_;
  Coherence& coherence_;
  const std::chrono::milliseconds patience_;
  int wal_pages_ = 0;      ///< in the log after the last commit
  int checkpoint_at_ = 0;  ///< pages in the log
  std::mutex mutex_;       ///< guards what follows
  std::condition_variable wake_;
  std::vector<Pending*> queue_;
  bool stopping_ = false;
  std::thread thread_;  // last: runs `loop`
};

}  // namespace kiseki::meta::sqlite
