#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "core/answer.hpp"
#include "core/ids.hpp"
#include "meta/ops.hpp"
#include "vfs/filesystem.hpp"
#include "vfs/losses.hpp"

namespace kiseki::vfs {

/// Which contents a file has: who changes them changes one of these, even a copy that sets mtime back.
struct FileVersion {
  std::uint64_t length = 0;
  Timestamp mtime, ctime;
  static FileVersion of(const Attr& attr) { return {attr.length, attr.mtime, attr.ctime}; }
  friend bool operator==(const FileVersion&, const FileVersion&) = default;
};

/// Where a reader of one open file stands: recognises sequential streams and sizes the read-ahead. One per handle,
/// owned by it; used under the reader's own lock.
struct ReadStream;
struct ReadStreamDeleter {
  void operator()(ReadStream*) const;
};
using ReadStreamPtr = std::unique_ptr<ReadStream, ReadStreamDeleter>;

/// How many losses (Losses) an open file has told of, or was opened after.
struct LossesTold {
  std::atomic<std::uint64_t> count{0};
};
using LossesToldPtr = std::shared_ptr<LossesTold>;

/// Contents of every file of a mount: buffered writes on their way to blocks and slice records, and reads of what is
/// stored. The one place where chunk (blocks, cache) and meta (slice records) meet. Any loop may call.
class FileData {
 public:
  virtual ~FileData() = default;

  /// Copies `data` into the pages of an open slice; ready at once unless the buffer budget is spent. Returns
  /// data.size(). Errors: EFBIG.
  virtual Answer<std::uint32_t> write(Ino ino, std::uint64_t offset, std::span<const std::byte> data) = 0;
  /// The same at the file's end, known to be at `end`. If other clients append too, it goes behind what they committed
  /// first, all of it in one place.
  virtual Answer<std::uint32_t> append(Ino ino, std::uint64_t end, std::span<const std::byte> data) = 0;
  /// Who is told of files where something appended has gone elsewhere than it was shown while it was buffered; on any
  /// thread. Empty: nobody, once this returns.
  virtual void watch_moves(std::function<void(Ino)> watcher) = 0;
  /// Everything written before is stored and committed, or lost, when this returns. Errors: what was lost of this file
  /// meanwhile, or, for an open file, since it last told.
  virtual Answer<void> flush(Ino ino, LossesToldPtr told = nullptr) = 0;
  /// The same, and what is ordered in the same commit as the last of what was buffered: the attributes after it.
  /// Nothing: there was no such commit, and the order was not carried out. Errors: also those of the order.
  virtual Async<std::optional<meta::Attr>> flush_then(Ino ino, meta::AttrOrder order) = 0;
  virtual Losses& losses() = 0;
  /// End of the furthest byte written but not committed yet, if any: the file's length is at least this.
  virtual std::optional<std::uint64_t> pending_length(Ino ino) const = 0;
  virtual bool dirty(Ino ino) const = 0;
  /// mtime of the last write not committed yet, if any (what stat must show).
  virtual std::optional<Timestamp> pending_mtime(Ino ino) const = 0;

  /// A stream for a new handle.
  virtual ReadStreamPtr open_stream(Ino ino) = 0;
  /// Bytes of [offset, offset + size) of a file that is `length` long (clipped to it), flushing own dirty data first.
  /// From memory: ready at once, pieces of cache blocks, nothing copied. `version`: of the attributes the caller has
  /// read; slice lists known from another are not believed.
  virtual Answer<ReadReply> read(ReadStream& stream, Ino ino, std::uint64_t offset, std::uint32_t size,
                                 std::uint64_t length, const FileVersion& version = {}) = 0;
  /// Slice lists of this file known here are no longer right (truncate, fallocate, copy, compaction, heard of a
  /// change).
  virtual void invalidate(Ino ino) = 0;

  /// Compacts one chunk now. Errors: EIO...; a chunk with nothing to gain succeeds.
  virtual Async<void> compact(Ino ino, ChunkIndex index) = 0;
  /// Flushes every file; then no coroutine of ours exists. Errors are logged per file; the first is returned.
  virtual Async<void> close() = 0;
};

}  // namespace kiseki::vfs
