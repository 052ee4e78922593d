#include "vfs/file_reader.hpp"

#include <algorithm>

#include "core/log.hpp"

namespace kiseki::vfs {

namespace {

constexpr std::size_t kZeroBytes = 1 << 20;
alignas(4096) std::byte zeros[kZeroBytes];  // never written: the kernel's one zero page, over and over

constexpr std::size_t kParallel = 16;  // blocks of one request, or one step of reading ahead, fetched at once
constexpr int kRefetches = 3;          // of a slice list whose blocks are gone
constexpr double kAheadShare = 0.3;    // of the arena, for all read-ahead under way
constexpr double kUnreadShare = 0.5;   // of the block cache, for what streams have not come to yet

std::error_code honest(std::error_code error) {
  int err = to_errno(error);
  if (err == EAGAIN || err == ENOBUFS) return posix(EIO);
  return error.category() == std::generic_category() ? error : posix(err);
}

}  // namespace

/// One stretch of a request: part of a block, or of a hole.
struct FileReader::Need {
  chunk::BlockSpec block;  ///< slice 0: a hole
  std::uint32_t from = 0, len = 0;
  chunk::BlockPtr found;
  std::uint32_t found_from = 0;  ///< where `from` lies in `found`
  bool is_hole() const { return block.slice.value == 0; }
  bool missing() const { return !is_hole() && !found; }
};

struct FileReader::Plan {
  std::vector<Need> needs;  ///< in order of the file
  void hole(std::uint64_t len) {
    if (len == 0) return;
    Need need;
    need.len = static_cast<std::uint32_t>(len);
    needs.push_back(std::move(need));
  }
};

FileReader::FileReader(std::shared_ptr<SliceMeta> meta, chunk::BlockReader& blocks, BufferArena& arena,
                       TaskGroup& tasks, Options options)
    : meta_(std::move(meta)),
      blocks_(blocks),
      arena_(arena),
      tasks_(tasks),
      options_(std::move(options)),
      views_(options_.cached_view_bytes) {}

ReadStreamPtr FileReader::open_stream() { return ReadStreamPtr(new ReadStream(options_.readahead, streaming_)); }

Async<chunk::ChunkViewPtr> FileReader::view_of(Ino ino, ChunkIndex index, FileVersion version) {
  if (auto known = views_.find(ino, index, version)) co_return known;
  auto generation = views_.generation(ino);
  CO_TRY(auto records, co_await meta_->read_slices(ino, index));
  auto view = std::make_shared<const chunk::ChunkView>(chunk::ChunkView::of(records));
  views_.insert(ino, index, view, version, generation);
  if (options_.chunk_seen) options_.chunk_seen(ino, index, records.size());
  co_return view;
}

/// Adds what [begin, end) of a chunk needs. False when a record makes no sense.
bool FileReader::plan_chunk(const chunk::ChunkView& view, std::uint64_t begin, std::uint64_t end, Plan& plan) const {
  auto block_bytes = blocks_.layout().block_bytes;
  for (auto piece = view.first_after(static_cast<std::uint32_t>(begin)); begin < end; ++piece) {
    if (piece == view.pieces().end() || piece->pos >= end) {
      plan.hole(end - begin);
      return true;
    }
    if (piece->pos > begin) {
      plan.hole(piece->pos - begin);
      begin = piece->pos;
    }
    auto stop = std::min<std::uint64_t>(end, std::uint64_t{piece->pos} + piece->len);
    while (begin < stop) {
      auto at = static_cast<std::uint32_t>(piece->off + (begin - piece->pos));
      Need need;
      need.block = {piece->id, piece->size, at / block_bytes};
      need.from = at % block_bytes;
      need.len = static_cast<std::uint32_t>(std::min<std::uint64_t>(block_bytes - need.from, stop - begin));
      if (need.from + need.len > blocks_.length_of(need.block)) return false;
      begin += need.len;
      plan.needs.push_back(std::move(need));
    }
  }
  return true;
}

bool FileReader::find_in_memory(Plan& plan) const {
  bool all = true;
  for (auto& need : plan.needs) {
    if (!need.missing()) continue;
    need.found = blocks_.cache().find(need.block.id(), need.from, need.len);
    need.found_from = need.from;
    if (!need.found) all = false;
  }
  return all;
}

ReadReply FileReader::reply_of(Plan& plan) {
  ReadReply reply;
  reply.pieces.reserve(plan.needs.size());
  auto owner = std::make_shared<std::vector<chunk::BlockPtr>>();
  for (auto& need : plan.needs) {
    if (need.is_hole()) {
      for (std::size_t left = need.len; left > 0; left -= std::min(left, kZeroBytes))
        reply.pieces.push_back({zeros, std::min(left, kZeroBytes)});
      continue;
    }
    need.found->locate(need.found_from, need.len, reply.pieces);
    owner->push_back(std::move(need.found));
  }
  reply.owner = std::move(owner);
  return reply;
}

AheadRoom FileReader::ahead_room() const {
  if (arena_.waiting() > 0) return {};
  auto share = [](double part, std::size_t bytes) {
    return static_cast<std::size_t>(part * static_cast<double>(bytes));
  };
  auto streams = static_cast<std::size_t>(std::max(1, streaming_->load()));
  auto window = share(kUnreadShare, blocks_.cache().capacity_bytes()) / streams;
  if (window < blocks_.layout().block_bytes) return {};
  auto most = share(kAheadShare, arena_.limit_bytes()), under_way = ahead_bytes_.load();
  return {window, most - std::min(most, under_way)};
}

/// Whether memory has no block to spare for what is only likely to be read.
bool FileReader::tight() const { return ahead_room().window == 0; }

std::optional<ReadReply> FileReader::read_now(ReadStream& stream, Ino ino, std::uint64_t offset, std::uint32_t size,
                                              std::uint64_t length, const FileVersion& version) {
  auto ahead = stream.advance(offset, size, length, ahead_room());
  if (!ahead.empty()) {
    ahead_bytes_ += ahead.size();
    tasks_.spawn(options_.here(), read_ahead(ino, ahead, version, ahead.size()));
  }
  Plan plan;
  for (auto at = offset, end = offset + size; at < end;) {
    auto chunk_begin = at - at % kChunkBytes;
    auto view = views_.find(ino, ChunkIndex{static_cast<std::uint32_t>(at / kChunkBytes)}, version);
    if (!view) return std::nullopt;
    auto stop = std::min(end, chunk_begin + kChunkBytes);
    if (!plan_chunk(*view, at - chunk_begin, stop - chunk_begin, plan)) return std::nullopt;
    at = stop;
  }
  if (!find_in_memory(plan)) return std::nullopt;
  return reply_of(plan);
}

Async<std::shared_ptr<FileReader::Plan>> FileReader::make_plan(Ino ino, std::uint64_t offset, std::uint32_t size,
                                                               FileVersion version) {
  auto plan = std::make_shared<Plan>();
  for (auto at = offset, end = offset + size; at < end;) {
    auto chunk_begin = at - at % kChunkBytes;
    ChunkIndex index{static_cast<std::uint32_t>(at / kChunkBytes)};
    CO_TRY(auto view, co_await view_of(ino, index, version));
    auto stop = std::min(end, chunk_begin + kChunkBytes);
    if (!plan_chunk(*view, at - chunk_begin, stop - chunk_begin, *plan)) {
      log::error("read.bad_record", {{"ino", ino.value}, {"chunk", index.value}});
      co_return posix(EIO);
    }
    at = stop;
  }
  co_return plan;
}

/// Whole blocks are cached and serve the next reader; a range of a cold block is all a random reader wants.
bool FileReader::worth_whole(const Need& need, bool sequential) const {
  auto length = blocks_.length_of(need.block);
  if (blocks_.loading(need.block.id())) return true;
  if (blocks_.layout().whole_only) return true;
  if (blocks_.cache().capacity_bytes() == 0) return need.len == length;
  if (length <= 4 * need.len) return true;
  return sequential && !tight();
}

Async<void> FileReader::load_blocks(std::shared_ptr<Plan> plan, bool sequential) {
  std::vector<Async<void>> loads;
  for (auto& need : plan->needs) {
    if (!need.missing() || !worth_whole(need, sequential)) continue;
    auto load = [](chunk::BlockReader& blocks, Need& want) -> Async<void> {
      auto block = co_await blocks.load(want.block);
      if (!block && block.error() != posix(ENOBUFS)) co_return block.error();  // without memory: a range will do
      if (block) want.found = std::move(*block);
      want.found_from = want.from;
      co_return Result<void>{};
    };
    loads.push_back(load(blocks_, need));
  }
  if (loads.size() == 1) co_return co_await std::move(loads.front());
  if (!loads.empty()) CO_CHECK(co_await fan_out(std::move(loads), kParallel));
  co_return Result<void>{};
}

/// Reads what is still missing, exactly, into one buffer of its own. Waits for memory holding none.
Async<void> FileReader::load_ranges(std::shared_ptr<Plan> plan) {
  auto missing_bytes = [&plan] {
    std::size_t bytes = 0;
    for (const auto& need : plan->needs)
      if (need.missing()) bytes += need.len;
    return bytes;
  };
  auto bytes = missing_bytes();
  if (bytes == 0) co_return Result<void>{};
  auto buffer = arena_.try_allocate(bytes);
  if (!buffer) {
    for (auto& need : plan->needs) need.found = nullptr;
    bytes = missing_bytes();
    CO_TRY(buffer, co_await arena_.allocate(bytes));
    (void)find_in_memory(*plan);
  }
  std::vector<Async<void>> reads;
  std::uint32_t at = 0;
  for (auto& need : plan->needs) {
    if (!need.missing()) continue;
    reads.push_back(blocks_.read_range(need.block, need.from, {buffer->data() + at, need.len}));
    std::vector<chunk::Block::Page> page{{buffer, at, need.len}};
    need.found = chunk::BlockPtr(new chunk::Block(std::move(page)));
    need.found_from = 0;
    at += need.len;
    if (!tight()) blocks_.prefetch(need.block);
  }
  if (reads.size() == 1) co_return co_await std::move(reads.front());
  if (!reads.empty()) CO_CHECK(co_await fan_out(std::move(reads), kParallel));
  co_return Result<void>{};
}

Async<ReadReply> FileReader::read_once(Ino ino, std::uint64_t offset, std::uint32_t size, FileVersion version,
                                       bool sequential) {
  CO_TRY(auto plan, co_await make_plan(ino, offset, size, version));
  if (!find_in_memory(*plan)) {
    CO_CHECK(co_await load_blocks(plan, sequential));
    CO_CHECK(co_await load_ranges(plan));
  }
  co_return reply_of(*plan);
}

Async<ReadReply> FileReader::read_later(Ino ino, std::uint64_t offset, std::uint32_t size, FileVersion version,
                                        bool sequential) {
  for (int refetches = 0;; ++refetches) {
    auto reply = co_await read_once(ino, offset, size, version, sequential);
    if (reply) co_return reply;
    // A compaction, ours or another client's, may have replaced the slices we know and removed their blocks.
    bool gone = reply.error() == make_error_code(object::ObjectErrc::not_found);
    if (!gone || refetches >= kRefetches) {
      log::error("read.failed", {{"ino", ino.value}, {"offset", offset}, {"size", size}, {"error", reply.error()}});
      co_return honest(reply.error());
    }
    views_.invalidate(ino);
    if (refetches > 0) co_await sleep_for(std::chrono::milliseconds(20 << refetches));
  }
}

asio::awaitable<void> FileReader::read_ahead(Ino ino, ByteRange range, FileVersion version, std::size_t counted) {
  struct Ended {
    std::atomic<std::size_t>& bytes;
    std::size_t counted;
    ~Ended() { bytes -= counted; }
  };
  Ended ended{ahead_bytes_, counted};
  auto plan = co_await make_plan(ino, range.begin(), static_cast<std::uint32_t>(range.size()), version);
  if (!plan) co_return;  // the reader itself will meet the error
  std::vector<Async<void>> loads;
  chunk::BlockId last;
  for (auto& need : (*plan)->needs) {
    if (need.is_hole() || need.block.id() == last || blocks_.cache().contains(need.block.id())) continue;
    last = need.block.id();
    auto load = [](chunk::BlockReader& blocks, chunk::BlockSpec block) -> Async<void> {
      (void)co_await blocks.load(block);
      co_return Result<void>{};
    };
    loads.push_back(load(blocks_, need.block));
  }
  if (!loads.empty()) (void)co_await fan_out(std::move(loads), kParallel);
}

}  // namespace kiseki::vfs
