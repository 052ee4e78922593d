#include "vfs/file_data.hpp"

#include <algorithm>
#include <array>
#include <mutex>
#include <unordered_map>

#include "chunk/block_reader.hpp"
#include "core/async.hpp"
#include "core/log.hpp"
#include "vfs/compactor.hpp"
#include "vfs/file_reader.hpp"
#include "vfs/file_writer.hpp"

namespace kiseki::vfs {

namespace {

constexpr auto kTick = std::chrono::milliseconds(100);

/// The files being written, by inode. A file without anything pending is let go.
class WriterTable {
 public:
  using WriterPtr = std::shared_ptr<FileWriter>;
  explicit WriterTable(WriteBackend& backend) : backend_(backend) {}

  WriterPtr find(Ino ino) const {
    if (size_.load(std::memory_order_acquire) == 0) return nullptr;
    auto& shard = shard_of(ino);
    std::lock_guard lock(shard.mutex);
    auto found = shard.files.find(ino);
    return found == shard.files.end() ? nullptr : found->second;
  }
  WriterPtr get(Ino ino) {
    auto& shard = shard_of(ino);
    std::lock_guard lock(shard.mutex);
    auto& slot = shard.files[ino];
    if (!slot) {
      slot = std::make_shared<FileWriter>(ino, backend_);
      ++size_;
    }
    return slot;
  }
  void let_go(Ino ino) {
    auto& shard = shard_of(ino);
    std::lock_guard lock(shard.mutex);
    auto found = shard.files.find(ino);
    if (found == shard.files.end() || !found->second->retire()) return;
    shard.files.erase(found);
    --size_;
  }
  std::vector<WriterPtr> all() const {
    std::vector<WriterPtr> out;
    for (const auto& shard : shards_) {
      std::lock_guard lock(shard.mutex);
      for (const auto& [ino, writer] : shard.files) out.push_back(writer);
    }
    return out;
  }
  std::size_t size() const { return size_.load(std::memory_order_acquire); }

 private:
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<Ino, WriterPtr> files;
  };
  Shard& shard_of(Ino ino) const { return shards_[std::hash<Ino>()(ino) >> 60]; }
  WriteBackend& backend_;
  mutable std::array<Shard, 16> shards_;
  std::atomic<std::size_t> size_{0};
};

class FileDataImpl final : public FileData {
 public:
  FileDataImpl(std::shared_ptr<SliceMeta> meta, object::StorePtr store, BufferArena& arena, FileDataOptions options);

  Answer<std::uint32_t> write(Ino ino, std::uint64_t offset, std::span<const std::byte> data) override {
    return write(ino, offset, data, meta::Placing::given);
  }
  Answer<std::uint32_t> append(Ino ino, std::uint64_t end, std::span<const std::byte> data) override {
    return write(ino, end, data, meta::Placing::at_end);
  }
  void watch_moves(std::function<void(Ino)> watcher) override;
  Answer<void> flush(Ino ino, LossesToldPtr told) override;
  Async<std::optional<meta::Attr>> flush_then(Ino ino, meta::AttrOrder order) override;
  Losses& losses() override { return losses_; }
  std::optional<std::uint64_t> pending_length(Ino ino) const override;
  bool dirty(Ino ino) const override;
  std::optional<Timestamp> pending_mtime(Ino ino) const override;
  ReadStreamPtr open_stream(Ino) override { return reader_.open_stream(); }
  Answer<ReadReply> read(ReadStream& stream, Ino ino, std::uint64_t offset, std::uint32_t size, std::uint64_t length,
                         const FileVersion& version) override;
  void invalidate(Ino ino) override { reader_.views().invalidate(ino); }
  Async<void> compact(Ino ino, ChunkIndex index) override { return compactor_.compact(ino, index); }
  Async<void> close() override;

  const chunk::BlockCache& cache() const { return cache_; }

 private:
  std::function<asio::any_io_executor()> here() const;
  FileReader::Options reader_options();
  Compactor::Options compactor_options();
  Answer<std::uint32_t> write(Ino ino, std::uint64_t offset, std::span<const std::byte> data, meta::Placing placing);
  Async<std::uint32_t> write_slowly(Ino ino, std::uint64_t offset, std::span<const std::byte> data, std::size_t done,
                                    meta::Placing placing);
  Result<std::size_t> write_now(Ino ino, std::uint64_t offset, std::span<const std::byte> data, BufferPtr& spare,
                                meta::Placing placing);
  void moved(Ino ino);
  Async<void> finish_flush(std::shared_ptr<FileWriter> file, std::uint64_t upto, std::uint64_t since,
                           LossesToldPtr told);
  Result<void> tell(Ino ino, std::uint64_t since, LossesTold* told);
  Async<ReadReply> flush_and_read(Ino ino, std::uint64_t offset, std::uint32_t size, FileVersion version,
                                  bool sequential);
  Answer<void> committed(Ino ino, const std::vector<SliceMeta::Length>& lengths);
  Async<void> shorten(Ino ino, std::vector<ChunkIndex> chunks);
  void make_memory();
  asio::awaitable<void> tend();
  asio::awaitable<void> rest();

  BufferArena& arena_;
  FileDataOptions options_;
  TaskGroup tasks_, tending_;
  chunk::BlockCache cache_;
  chunk::BlockReader blocks_;
  FileReader reader_;
  Compactor compactor_;
  Losses losses_;
  WriteBackend backend_;
  WriterTable writers_;
  std::mutex moves_guard_;  // of `moves_`
  std::function<void(Ino)> moves_;
  Signal written_;                // wakes the tender
  std::atomic<bool> idle_{true};  // the tender sleeps until somebody writes
};

FileDataImpl::FileDataImpl(std::shared_ptr<SliceMeta> meta, object::StorePtr store, BufferArena& arena,
                           FileDataOptions options)
    : arena_(arena),
      options_(std::move(options)),
      tasks_(options_.home),
      tending_(options_.home),
      cache_(arena, options_.cache_bytes),
      blocks_(store, options_.layout, arena, cache_, options_.home, {options_.prefetch_workers}),
      reader_(meta, blocks_, arena, tasks_, reader_options()),
      compactor_(meta, store, blocks_, arena, tasks_, options_.home, compactor_options()),
      backend_{meta,
               store,
               options_.layout,
               arena,
               cache_,
               options_.clock,
               here(),
               [this](Ino ino, const std::vector<SliceMeta::Length>& lengths) { return committed(ino, lengths); },
               [this](Ino ino) { moved(ino); },
               tasks_,
               losses_,
               options_.cache_full_writes},
      writers_(backend_) {
  tending_.spawn(tend());
}

std::function<asio::any_io_executor()> FileDataImpl::here() const {
  if (options_.here) return options_.here;
  return [home = options_.home] { return home; };
}

FileReader::Options FileDataImpl::reader_options() {
  FileReader::Options reader;
  reader.readahead = {options_.layout.block_bytes, options_.max_readahead};
  reader.cached_view_bytes = options_.cached_view_bytes;
  reader.here = here();
  if (options_.compaction)
    reader.chunk_seen = [this](Ino ino, ChunkIndex index, std::size_t records) {
      compactor_.read(ino, index, records);
    };
  return reader;
}

Compactor::Options FileDataImpl::compactor_options() {
  Compactor::Options compactor;
  compactor.compacted = [this](Ino ino, ChunkIndex index) { reader_.views().invalidate(ino, index); };
  return compactor;
}

/// Compacts what grew, in the background; a chunk that is far too long holds its writer up, so that no list grows for
/// ever, however fast the writer.
Answer<void> FileDataImpl::committed(Ino ino, const std::vector<SliceMeta::Length>& lengths) {
  std::vector<ChunkIndex> too_long;
  for (const auto& [index, records, added] : lengths) {
    reader_.views().invalidate(ino, index);
    if (!options_.compaction) continue;
    if (compactor_.written(ino, index, records, added) == Compactor::Pace::wait) too_long.push_back(index);
  }
  if (too_long.empty()) return Result<void>{};
  return shorten(ino, std::move(too_long));
}

Async<void> FileDataImpl::shorten(Ino ino, std::vector<ChunkIndex> chunks) {
  for (auto index : chunks) co_await compactor_.shorten(ino, index);
  co_return Result<void>{};
}

// ---- writes -----------------------------------------------------------------------------------------------------

Result<std::size_t> FileDataImpl::write_now(Ino ino, std::uint64_t offset, std::span<const std::byte> data,
                                            BufferPtr& spare, meta::Placing placing) {
  for (;;) {
    auto wrote = writers_.get(ino)->write(offset, data, spare, placing);
    if (wrote.state == FileWriter::State::retired) continue;  // let go a moment ago: the table has none or a new one
    if (idle_.exchange(false, std::memory_order_acq_rel)) written_.notify_all();
    return wrote.bytes;
  }
}

void FileDataImpl::watch_moves(std::function<void(Ino)> watcher) {
  std::lock_guard lock(moves_guard_);
  moves_ = std::move(watcher);
}

void FileDataImpl::moved(Ino ino) {
  std::lock_guard lock(moves_guard_);
  if (moves_) moves_(ino);
}

Answer<std::uint32_t> FileDataImpl::write(Ino ino, std::uint64_t offset, std::span<const std::byte> data,
                                          meta::Placing placing) {
  if (data.size() > kMaxFileBytes || offset > kMaxFileBytes - data.size()) return posix(EFBIG);
  if (data.empty()) return Result<std::uint32_t>(0u);
  BufferPtr spare;
  auto wrote = write_now(ino, offset, data, spare, placing);
  if (!wrote) return wrote.error();
  if (*wrote < data.size() && arena_.waiting() == 0 && cache_.make_room(options_.layout.block_bytes) > 0) {
    auto more = write_now(ino, offset + *wrote, data.subspan(*wrote), spare, placing);
    if (!more) return more.error();
    *wrote += *more;
  }
  if (*wrote == data.size()) return Result<std::uint32_t>(static_cast<std::uint32_t>(data.size()));
  return write_slowly(ino, offset, data, *wrote, placing);
}

Async<std::uint32_t> FileDataImpl::write_slowly(Ino ino, std::uint64_t offset, std::span<const std::byte> data,
                                                std::size_t done, meta::Placing placing) {
  while (done < data.size()) {
    make_memory();
    CO_TRY(auto spare,
           co_await arena_.allocate(std::min<std::size_t>(options_.layout.block_bytes, data.size() - done)));
    CO_TRY(auto wrote, write_now(ino, offset + done, data.subspan(done), spare, placing));
    done += wrote;
  }
  co_return static_cast<std::uint32_t>(data.size());
}

/// Pushes out the oldest half of what is written and open, when nothing else is about to free memory.
void FileDataImpl::make_memory() {
  if (backend_.uploading > 0) return;
  auto files = writers_.all();
  std::vector<std::pair<PendingSlice::Time, std::shared_ptr<FileWriter>>> open;
  for (auto& file : files)
    if (auto since = file->oldest_open()) open.emplace_back(*since, std::move(file));
  std::sort(open.begin(), open.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (std::size_t i = 0; i < (open.size() + 1) / 2; ++i) open[i].second->freeze_all();
}

Answer<void> FileDataImpl::flush(Ino ino, LossesToldPtr told) {
  auto since = told ? told->count.load() : losses_.count();
  auto file = writers_.find(ino);
  if (!file) return tell(ino, since, told.get());
  auto point = file->begin_flush();
  if (!point.clean) return finish_flush(std::move(file), point.upto, since, std::move(told));
  if (point.state == FileWriter::State::alive) writers_.let_go(ino);
  return tell(ino, since, told.get());
}

Async<void> FileDataImpl::finish_flush(std::shared_ptr<FileWriter> file, std::uint64_t upto, std::uint64_t since,
                                       LossesToldPtr told) {
  co_await file->settled(upto);
  writers_.let_go(file->ino());
  co_return tell(file->ino(), since, told.get());
}

Result<void> FileDataImpl::tell(Ino ino, std::uint64_t since, LossesTold* told) {
  auto now = losses_.count();
  if (now == since) return {};
  auto lost = losses_.since(since, ino);
  if (told) told->count = now;
  if (lost) return lost;
  return {};
}

Async<std::optional<meta::Attr>> FileDataImpl::flush_then(Ino ino, meta::AttrOrder order) {
  auto file = writers_.find(ino);
  if (!file) co_return std::nullopt;
  auto after = std::make_shared<OrderAfterWrites>();
  after->order = order;
  auto since = losses_.count();
  auto point = file->begin_flush(after);
  CO_CHECK(co_await finish_flush(std::move(file), point.upto, since, nullptr));
  if (!after->outcome) co_return std::nullopt;
  if (!*after->outcome) co_return after->outcome->error();
  co_return **after->outcome;
}

std::optional<std::uint64_t> FileDataImpl::pending_length(Ino ino) const {
  auto file = writers_.find(ino);
  return file ? file->pending_length() : std::nullopt;
}

bool FileDataImpl::dirty(Ino ino) const {
  auto file = writers_.find(ino);
  return file && file->dirty();
}

std::optional<Timestamp> FileDataImpl::pending_mtime(Ino ino) const {
  auto file = writers_.find(ino);
  return file ? file->pending_mtime() : std::nullopt;
}

// ---- reads ------------------------------------------------------------------------------------------------------

Answer<ReadReply> FileDataImpl::read(ReadStream& stream, Ino ino, std::uint64_t offset, std::uint32_t size,
                                     std::uint64_t length, const FileVersion& version) {
  if (offset >= length || size == 0) return Result<ReadReply>(ReadReply{});
  size = static_cast<std::uint32_t>(std::min<std::uint64_t>(size, length - offset));
  auto file = writers_.find(ino);
  if (file && file->dirty_in(offset, offset + size))
    return flush_and_read(ino, offset, size, version, stream.sequential());
  if (auto reply = reader_.read_now(stream, ino, offset, size, length, version))
    return Result<ReadReply>(std::move(*reply));
  return reader_.read_later(ino, offset, size, version, stream.sequential());
}

Async<ReadReply> FileDataImpl::flush_and_read(Ino ino, std::uint64_t offset, std::uint32_t size, FileVersion version,
                                              bool sequential) {
  if (auto file = writers_.find(ino)) {
    auto point = file->begin_flush();
    // Errors stay for those who wrote: they are returned by their flush, not by somebody's read.
    if (!point.clean) co_await file->settled(point.upto);
  }
  co_return co_await reader_.read_later(ino, offset, size, version, sequential);
}

// ---- tending ----------------------------------------------------------------------------------------------------

/// Freezes what is old or idle, pushes data out when memory runs short, and lets clean files go. Sleeps while nothing
/// is being written. Once writers have been silent for a while, the memory kept warm for them goes back to the kernel.
asio::awaitable<void> FileDataImpl::rest() {
  constexpr auto kSilence = std::chrono::seconds(5);
  for (auto since = std::chrono::steady_clock::now(); arena_.reserved_bytes() > 0;) {
    co_await sleep_for(kTick);
    if (writers_.size() > 0) co_return;
    if (std::chrono::steady_clock::now() - since >= kSilence) arena_.trim();
  }
}

asio::awaitable<void> FileDataImpl::tend() {
  for (;;) {
    if (writers_.size() == 0) co_await rest();
    if (writers_.size() == 0) {
      auto ticket = written_.ticket();
      idle_.store(true, std::memory_order_release);
      if (writers_.size() == 0) co_await written_.wait(ticket);
      idle_.store(false, std::memory_order_release);
    }
    co_await sleep_for(kTick);
    auto now = std::chrono::steady_clock::now();
    for (const auto& file : writers_.all()) {
      file->freeze_aged(now);
      if (!file->dirty()) writers_.let_go(file->ino());
    }
    if (arena_.waiting() > 0) make_memory();
  }
}

Async<void> FileDataImpl::close() {
  Result<void> first;
  for (const auto& file : writers_.all()) {
    auto done = co_await flush(file->ino(), nullptr).get();
    if (done) continue;
    log::error("close.flush_failed", {{"ino", file->ino().value}, {"error", done.error()}});
    if (first) first = done;
  }
  co_await tending_.close();
  co_await tasks_.close();
  co_await blocks_.close();
  cache_.clear();
  co_return first;
}

}  // namespace

std::unique_ptr<FileData> make_file_data(std::shared_ptr<SliceMeta> meta, object::StorePtr store, BufferArena& arena,
                                         FileDataOptions options) {
  return std::make_unique<FileDataImpl>(std::move(meta), std::move(store), arena, std::move(options));
}

const chunk::BlockCache& block_cache_of(const FileData& data) {
  return dynamic_cast<const FileDataImpl&>(data).cache();
}

}  // namespace kiseki::vfs
