#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstddef>

#include "core/async.hpp"
#include "meta/client.hpp"

namespace kiseki::meta {

/// The hourly jobs of a volume (sql.md section 15), each done by one of its clients per hour: deletion of removed files
/// that nobody got round to, of slices without users, of old trash, of slices that compaction replaced. Objects
/// themselves are deleted by the client's DataReaper. `start` once; `close` before destruction.
class Housekeeper {
 public:
  struct Options {
    bool background_jobs = true;          ///< false: `start` does nothing (--no-bgjob)
    std::chrono::seconds period{3600};    ///< of each job, among all clients
    std::chrono::seconds look_every{60};  ///< how often this client asks whether a job is due
    std::chrono::seconds longest{3000};   ///< a run stops after this; the next goes on
  };
  Housekeeper(Client& client, asio::any_io_executor home, Options options);

  void start();
  asio::awaitable<void> close();

  /// Runs every job that is due and for which this client is elected.
  Async<void> look();

  // Single jobs, whoever is elected. Each answers how many things it dealt with.
  Async<std::size_t> delete_removed_files();
  Async<std::size_t> release_dead_slices();
  Async<std::size_t> expire_trash();
  Async<std::size_t> expire_delayed_slices();

  struct Emptied;  ///< what became of the entries of an hour

 private:
  asio::awaitable<void> run();
  bool out_of_time(Timestamp began) const;
  Async<std::size_t> expire_trashed_entries();
  Async<void> empty_hour(Ino hour, Timestamp began, Emptied& tally);

  Client& client_;
  const Options options_;
  TaskGroup tasks_;
};

}  // namespace kiseki::meta
