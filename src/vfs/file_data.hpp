#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstddef>
#include <functional>
#include <memory>

#include "chunk/block_cache.hpp"
#include "chunk/block_key.hpp"
#include "core/clock.hpp"
#include "core/memory.hpp"
#include "object/store.hpp"
#include "vfs/data.hpp"
#include "vfs/slice_meta.hpp"

namespace kiseki::vfs {

struct FileDataOptions {
  chunk::BlockLayout layout;
  std::size_t cache_bytes = std::size_t{200} << 20;   ///< of the arena, for blocks kept in memory
  std::size_t max_readahead = std::size_t{32} << 20;  ///< bytes ahead of one sequential reader (--max-readahead)
  std::size_t prefetch_workers = 1;                   ///< --prefetch
  bool cache_full_writes = false;                     ///< keep full blocks after their upload (--cache-large-write)
  bool compaction = true;                             ///< off: read-only mounts and --no-bgjob
  std::size_t cached_view_bytes = 32u << 20;          ///< of resolved chunks kept
  std::shared_ptr<const Clock> clock;                 ///< mtime of writes
  asio::any_io_executor home;                         ///< where background work runs
  /// Executor of the loop this thread runs; `home` on other threads. Empty: always `home`.
  std::function<asio::any_io_executor()> here;
};

/// The data path of a mount. `arena` outlives it. `close` before destruction.
std::unique_ptr<FileData> make_file_data(std::shared_ptr<SliceMeta> meta, object::StorePtr store, BufferArena& arena,
                                         FileDataOptions options);

/// The block cache of what `make_file_data` made, for metrics.
const chunk::BlockCache& block_cache_of(const FileData& data);

}  // namespace kiseki::vfs
