#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "chunk/block_key.hpp"
#include "core/async.hpp"
#include "meta/client.hpp"
#include "object/store.hpp"

namespace kiseki::vfs {

/// Deletes the objects of slices nobody refers to any more and the chunk records of removed files, a bounded number at
/// a time. Files that go shortly after one another are taken together, so that they share round trips and commits. What
/// it cannot take (queue full, store failing, --max-deletes 0) stays recorded in the metadata, where the housekeeper
/// finds it again. Any thread may call.
class SliceReaper final : public meta::DataReaper {
 public:
  struct Options {
    std::size_t max_deletes = 10;        ///< slices at once (--max-deletes); 0: delete nothing
    std::size_t most_waiting = 100'000;  ///< beyond, left to the housekeeper
  };
  /// `client` outlives it.
  SliceReaper(meta::Client& client, object::StorePtr store, chunk::BlockLayout layout, asio::any_io_executor home,
              Options options);

  void file_removed(Ino ino, std::uint64_t length) override;
  void slices_released(std::vector<meta::DelayedSlice> slices) override;

  std::size_t waiting() const { return waiting_; }
  asio::awaitable<void> drain() { return tasks_.join(); }  ///< until everything taken so far is gone
  asio::awaitable<void> close() { return tasks_.close(); }

 private:
  asio::awaitable<void> remove_files();
  asio::awaitable<void> remove_file(Ino ino, std::uint64_t length);
  asio::awaitable<void> remove_slices(std::vector<meta::DelayedSlice> slices);

  meta::Client& client_;
  object::StorePtr store_;
  chunk::BlockLayout layout_;
  Options options_;
  Semaphore slots_, files_at_once_;
  std::mutex mutex_;                                  ///< guards `files_`
  std::vector<std::pair<Ino, std::uint64_t>> files_;  ///< removed a moment ago, with their lengths
  std::atomic<std::size_t> waiting_{0};
  TaskGroup tasks_;
};

}  // namespace kiseki::vfs
