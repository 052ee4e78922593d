#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "core/inbox.hpp"
#include "core/runtime.hpp"
#include "meta/sqlite/coherence.hpp"

namespace kiseki::meta::sqlite {

/// Reads on pool threads, a connection for each. What waits together is read in one transaction, hence from one
/// snapshot that is newer than every request in it.
class Readers {
 public:
  struct Pending {
    std::function<void(Connection&)> job;  ///< may throw SqlError
    std::error_code error;
    detail::Inbox::Letter caller;
  };

  Readers(BlockingPool& pool, std::vector<std::unique_ptr<Connection>> connections, Coherence& coherence);
  ~Readers() { stop(); }

  void enqueue(Pending& pending);  ///< any thread
  void stop();                     ///< waits until nothing is read any more and closes the connections; blocks

 private:
  void drain(Connection& db);
  void serve(Connection& db, const std::vector<Pending*>& batch);

  BlockingPool& pool_;
  Coherence& coherence_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::mutex mutex_;  ///< guards what follows
  std::condition_variable all_idle_;
  std::deque<Pending*> queue_;
  std::vector<Connection*> idle_;
};

}  // namespace kiseki::meta::sqlite
