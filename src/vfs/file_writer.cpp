#include "vfs/file_writer.hpp"

#include <algorithm>

#include "chunk/slice_objects.hpp"
#include "core/log.hpp"

namespace kiseki::vfs {

namespace {

constexpr std::size_t kMostOpen = 4;  // streams of one file told apart; further writes gather in the newest slice
constexpr std::size_t kRecordsAtOnce = 2000;  // in one metadata commit
constexpr auto kMostAge = std::chrono::seconds(5);
constexpr auto kMostIdle = std::chrono::seconds(1);

/// What an application may see of a failure in the background.
std::error_code honest_failure(std::error_code error) {
  switch (int err = to_errno(error)) {
    case ENOSPC:
    case EDQUOT:
    case ENOENT:
    case EROFS:
    case EFBIG:
      return posix(err);
    default:
      return posix(EIO);
  }
}

/// Whether a failed commit certainly changed nothing, so that its blocks are garbage.
bool certainly_not_applied(std::error_code error) {
  int err = to_errno(error);
  return err == ENOSPC || err == EDQUOT || err == ENOENT || err == EROFS;
}

Timestamp just_before(Timestamp time) {
  return time.nsec == 0 ? Timestamp{time.sec - 1, 999'999'999} : Timestamp{time.sec, time.nsec - 1};
}

}  // namespace

FileWriter::Launch::~Launch() {
  for (auto& work : works_) backend_.tasks.spawn(backend_.here(), std::move(work));
}

FileWriter::Wrote FileWriter::write(std::uint64_t offset, std::span<const std::byte> data, BufferPtr& spare,
                                    meta::Placing placing) {
  Wrote wrote;
  Launch launch(backend_);
  std::lock_guard lock(mutex_);
  if (retired_) return {State::retired, 0};
  if (slices_.empty()) pending_end_ = 0;
  auto now = std::chrono::steady_clock::now();
  pending_mtime_ = backend_.clock->now();
  SlicePtr before;
  while (wrote.bytes < data.size()) {
    auto at = offset + wrote.bytes;
    auto part =
        data.subspan(wrote.bytes, std::min<std::uint64_t>(data.size() - wrote.bytes, kChunkBytes - at % kChunkBytes));
    auto slice = slice_for(at, part.size(), placing);
    auto took = slice->take(at, part, spare);
    slice->written = now;
    slice->mtime = pending_mtime_;
    wrote.bytes += took;
    while (auto piece = slice->writer.take_full_block()) send(slice, std::move(*piece), launch);
    if (before) keep_together(before, slice, launch);
    if (took < part.size()) break;
    if (!slice->has_room(1) || (at + took) % kChunkBytes == 0) freeze(slice, launch);
    before = slice;
  }
  if (wrote.bytes > 0) pending_end_ = std::max(pending_end_, offset + wrote.bytes);
  return wrote;
}

/// What one append left in two slices is committed at once, so that nobody else's comes in between, unless something
/// written meanwhile goes between them. The second takes no more: it would hold up the first.
void FileWriter::keep_together(const SlicePtr& first, const SlicePtr& second, Launch& launch) {
  bool both_appended = first->placing == meta::Placing::at_end && second->placing == first->placing;
  first->goes_on = both_appended && second->number == first->number + 1;
  if (first->goes_on) freeze(second, launch);
}

/// The open slice a write goes to: from the newest back, one that the write continues or changes, unless a newer one
/// overlaps (it must stay on top); with too many open, the newest takes anything.
FileWriter::SlicePtr FileWriter::slice_for(std::uint64_t at, std::size_t bytes, meta::Placing placing) {
  auto end = at + bytes;
  for (auto slice = slices_.rbegin(); slice != slices_.rend(); ++slice) {
    auto& one = **slice;
    bool fits = one.placing == placing && (one.continues_at(at) || one.covers(at, end));
    bool takes_any = open_ >= kMostOpen && one.number + 1 == next_number_;
    if ((fits || takes_any) && one.has_room(bytes)) {
      if (one.placing != placing) one.placing = meta::Placing::given;
      return *slice;
    }
    if (one.overlaps(at, end)) break;
  }
  slices_.push_back(std::make_shared<PendingSlice>(next_number_++, placing, backend_.layout, backend_.arena,
                                                   std::chrono::steady_clock::now()));
  ++open_;
  return slices_.back();
}

void FileWriter::freeze(const SlicePtr& slice, Launch& launch) {
  if (slice->frozen) return;
  slice->frozen = true;
  --open_;
  if (auto piece = slice->writer.take_rest()) send(slice, std::move(*piece), launch);
  commit_if_ready(launch);
}

void FileWriter::send(const SlicePtr& slice, chunk::SliceWriter::Piece piece, Launch& launch) {
  ++slice->uploading;
  ++backend_.uploading;
  launch.add(upload(shared_from_this(), slice, std::move(piece)));
}

Async<SliceId> FileWriter::id_of(SlicePtr slice) {
  auto gate = co_await slice->id_gate.lock();
  if (slice->id.value != 0) co_return slice->id;
  CO_TRY(auto id, co_await backend_.meta->new_slice_id());
  std::lock_guard lock(mutex_);
  slice->id = id;
  co_return id;
}

asio::awaitable<void> FileWriter::upload(std::shared_ptr<FileWriter> self, SlicePtr slice,
                                         chunk::SliceWriter::Piece piece) {
  struct Ended {  // however the upload ends, the slice must not wait for it for ever
    FileWriter& file;
    SlicePtr slice;
    std::error_code error = posix(ECANCELED);
    ~Ended() {
      Launch launch(file.backend_);
      std::lock_guard lock(file.mutex_);
      if (error && !slice->error) slice->error = error;
      --slice->uploading;
      --file.backend_.uploading;
      file.commit_if_ready(launch);
    }
  };
  Ended ended{*self, slice};
  auto id = co_await id_of(slice);
  if (!id) {
    ended.error = id.error();
    co_return;
  }
  chunk::BlockId name{*id, piece.index};
  auto stored = co_await chunk::upload_block(backend_.store, backend_.layout, name, piece.block);
  if (!stored) {
    log::error("write.upload_failed",
               {{"ino", ino_.value}, {"slice", id->value}, {"block", piece.index}, {"error", stored.error()}});
    ended.error = stored.error();
    co_return;
  }
  ended.error = {};
  // A long write would push everything else out of the cache, and take fresh memory for each block of it.
  bool worth_keeping = backend_.cache_full_writes || piece.block->size() < backend_.layout.block_bytes;
  if (worth_keeping && backend_.arena.waiting() == 0) backend_.cache.insert(name, std::move(piece.block));
}

/// Under the mutex.
void FileWriter::commit_if_ready(Launch& launch) {
  if (committing_ || slices_.empty() || !slices_.front()->frozen || slices_.front()->uploading > 0) return;
  committing_ = true;
  launch.add(commit_ready(shared_from_this()));
}

bool FileWriter::joins(const PendingSlice& slice, const Ready& ready) const {
  if (!slice.frozen || slice.uploading > 0 || (after_ && slice.number >= after_->upto)) return false;
  return ready.slices.empty() || slice.placing == ready.slices.front()->placing;
}

/// The slices at the front whose blocks are all stored, in order; few enough for one commit, and of one kind. An order
/// goes with the last of those it comes after.
FileWriter::Ready FileWriter::ready_slices() {
  Ready ready;
  std::size_t records = 0;
  std::lock_guard lock(mutex_);
  for (const auto& slice : slices_) {
    if (!joins(*slice, ready) || records > kRecordsAtOnce) break;
    ready.slices.push_back(slice);
    records += slice->records().size();
  }
  if (!ready.slices.empty() && ready.slices.back()->goes_on) ready.slices.pop_back();
  if (ready.slices.empty())
    committing_ = false;
  else if (after_ && ready.slices.back()->number + 1 == after_->upto)
    ready.after = after_;
  return ready;
}

void FileWriter::committed(std::size_t slices) {
  std::lock_guard lock(mutex_);
  slices_.erase(slices_.begin(), slices_.begin() + static_cast<std::ptrdiff_t>(slices));
  if (after_ && (slices_.empty() || slices_.front()->number >= after_->upto)) after_ = nullptr;
}

asio::awaitable<void> FileWriter::commit_ready(std::shared_ptr<FileWriter> self) {
  struct Ended {  // a cancelled committer leaves the queue to the next one
    FileWriter& file;
    bool done = false;
    ~Ended() {
      if (done) return;
      std::lock_guard lock(file.mutex_);
      file.committing_ = false;
    }
  };
  Ended ended{*self};
  for (;;) {
    auto ready = ready_slices();
    if (ready.slices.empty()) break;
    auto count = ready.slices.size();
    co_await settle(std::move(ready));
    committed(count);
    progress_.notify_all();
  }
  ended.done = true;
}

/// Commits each slice or gives it up.
asio::awaitable<void> FileWriter::settle(Ready ready) {
  auto& slices = ready.slices;
  bool all_stored = std::none_of(slices.begin(), slices.end(), [](const auto& slice) { return bool(slice->error); });
  if (all_stored) {
    auto done = co_await commit(slices, ready.after.get());
    if (done) co_return;
    if (slices.size() == 1 || !certainly_not_applied(done.error())) {
      for (const auto& slice : slices) co_await drop(slice, done.error());
      co_return;
    }
  }
  // Some of them may still be good: one by one, in order.
  for (const auto& slice : slices) {
    auto error = slice->error;
    if (!error) {
      auto done = co_await commit({&slice, 1}, nullptr);
      if (!done) error = done.error();
    }
    if (error) co_await drop(slice, error);
  }
}

/// The mtime these slices leave. A slice begun later may have been written to for the last time before one of these
/// was: the newest time moves on to the last slice, and these leave one older than all that come after them. So the
/// file's times never go back, and the last commit leaves exactly what was shown while all was buffered.
Timestamp FileWriter::mtime_of_commit(std::span<const SlicePtr> slices) {
  std::lock_guard lock(mutex_);
  Timestamp newest;
  for (const auto& slice : slices) newest = std::max(newest, slice->mtime);
  auto mtime = newest;
  PendingSlice* last = nullptr;
  for (const auto& later : slices_) {
    if (later->number <= slices.back()->number || later->writer.size() == 0) continue;
    mtime = std::min(mtime, just_before(later->mtime));
    last = later.get();
  }
  if (last) last->mtime = std::max(last->mtime, newest);
  return mtime;
}

Async<void> FileWriter::commit(std::span<const SlicePtr> slices, OrderAfterWrites* after) {
  std::vector<SliceMeta::Placed> records;
  for (const auto& slice : slices) {
    auto more = slice->records();
    records.insert(records.end(), more.begin(), more.end());
  }
  if (records.empty()) co_return Result<void>{};  // a slice that never got memory for its first byte
  auto order = after ? std::optional(after->order) : std::nullopt;
  CO_TRY(auto written, co_await backend_.meta->write_slices(ino_, std::move(records), mtime_of_commit(slices), order,
                                                            slices.front()->placing));
  if (after) after->outcome = written.attr;
  if (written.moved) backend_.moved(ino_);
  auto compacting = backend_.committed(ino_, written.chunks);
  if (!compacting.ready()) CO_CHECK(co_await compacting.later());
  co_return Result<void>{};
}

/// Gives a slice up: its bytes are lost, whoever has the file open is told, and blocks that nothing refers to are
/// removed.
asio::awaitable<void> FileWriter::drop(SlicePtr slice, std::error_code error) {
  log::error("write.lost",
             {{"ino", ino_.value}, {"slice", slice->id.value}, {"bytes", slice->writer.size()}, {"error", error}});
  backend_.losses.add(ino_, honest_failure(error));
  bool garbage = slice->error || certainly_not_applied(error);
  if (!garbage || slice->id.value == 0) co_return;
  for (std::uint32_t i = 0; i < backend_.layout.blocks_of(slice->writer.size()); ++i)
    backend_.cache.erase({slice->id, i});
  (void)co_await chunk::remove_slice(backend_.store, backend_.layout, slice->id, slice->writer.size());
}

FileWriter::FlushPoint FileWriter::begin_flush(std::shared_ptr<OrderAfterWrites> after) {
  Launch launch(backend_);
  std::lock_guard lock(mutex_);
  if (retired_) return {State::retired, true, 0};
  if (after && !slices_.empty() && !after_) {
    after->upto = next_number_;
    after_ = std::move(after);
  }
  for (const auto& slice : slices_) freeze(slice, launch);
  return {State::alive, slices_.empty(), next_number_};
}

asio::awaitable<void> FileWriter::settled(std::uint64_t upto) {
  auto self = shared_from_this();
  for (;;) {
    auto ticket = progress_.ticket();
    {
      std::lock_guard lock(mutex_);
      if (slices_.empty() || slices_.front()->number >= upto) co_return;
    }
    co_await progress_.wait(ticket);
  }
}

void FileWriter::freeze_aged(PendingSlice::Time now) {
  Launch launch(backend_);
  std::lock_guard lock(mutex_);
  for (const auto& slice : slices_) {
    auto age = now - slice->started;
    if (age > kMostAge || (age > kMostIdle && now - slice->written > kMostIdle)) freeze(slice, launch);
  }
}

std::size_t FileWriter::freeze_all() {
  Launch launch(backend_);
  std::lock_guard lock(mutex_);
  std::size_t memory = 0;
  for (const auto& slice : slices_) {
    memory += slice->writer.memory_bytes();
    freeze(slice, launch);
  }
  return memory;
}

bool FileWriter::dirty() const {
  std::lock_guard lock(mutex_);
  return !slices_.empty();
}

bool FileWriter::dirty_in(std::uint64_t begin, std::uint64_t end) const {
  std::lock_guard lock(mutex_);
  return std::any_of(slices_.begin(), slices_.end(), [=](const auto& slice) { return slice->overlaps(begin, end); });
}

std::optional<std::uint64_t> FileWriter::pending_length() const {
  std::lock_guard lock(mutex_);
  return slices_.empty() ? std::nullopt : std::optional(pending_end_);
}

std::optional<Timestamp> FileWriter::pending_mtime() const {
  std::lock_guard lock(mutex_);
  return slices_.empty() ? std::nullopt : std::optional(pending_mtime_);
}

std::optional<PendingSlice::Time> FileWriter::oldest_open() const {
  std::lock_guard lock(mutex_);
  for (const auto& slice : slices_)
    if (!slice->frozen) return slice->started;
  return std::nullopt;
}

bool FileWriter::retire() {
  std::lock_guard lock(mutex_);
  if (!slices_.empty() || committing_) return false;
  return retired_ = true;
}

}  // namespace kiseki::vfs
