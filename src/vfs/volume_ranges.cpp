// Ranges of files: fallocate, holes and data, copies.
#include <linux/falloc.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "chunk/chunk_view.hpp"
#include "vfs/internal_files.hpp"
#include "vfs/volume.hpp"

namespace kiseki::vfs {

Answer<void> Volume::fallocate(Caller caller, Ino kernel, HandleId, std::uint64_t offset, std::uint64_t length,
                               std::uint32_t mode) {
  if (auto refused = refuse_change(kernel)) return refused;
  return fallocate_slow(caller, inside(kernel), offset, length, mode);
}

// The kernel says with a write whether the writer may leave suid and sgid alone, but not with the other changes of
// contents; root may.
Async<void> Volume::fallocate_slow(Caller caller, Ino ino, std::uint64_t offset, std::uint64_t length,
                                   std::uint32_t mode) {
  CO_CHECK(co_await settle(ino));
  CO_CHECK(co_await meta::fallocate(client_, who(caller), ino, offset, length, mode, caller.uid != 0));
  if (caller.uid != 0) mode_changed(ino);
  if (!(mode & FALLOC_FL_KEEP_SIZE)) told_.written(ino, offset + length);
  data_.invalidate(ino);
  page_cache_.forget(ino);
  co_return Result<void>{};
}

Answer<std::uint64_t> Volume::lseek(Caller, Ino kernel, HandleId, std::uint64_t offset, std::uint32_t whence) {
  if (is_internal(kernel)) return posix(EINVAL);
  if (whence != SEEK_DATA && whence != SEEK_HOLE) return posix(EINVAL);
  return lseek_slow(inside(kernel), offset, whence);
}

namespace {

/// The next byte of one chunk, at or after `at`, that is data, or is not; offsets in the file. What no record shows is
/// a hole.
std::optional<std::uint64_t> seek_in_chunk(ChunkIndex index, const Slices& slices, std::uint64_t at, bool want_data) {
  std::uint64_t base = index.value * kChunkBytes;
  constexpr auto page = chunk::kHoleBytes;
  for (auto stretch : chunk::ChunkView::of(slices).data()) {
    std::uint64_t begin = base + stretch.begin / page * page, end = base + (stretch.end + page - 1) / page * page;
    if (end <= at) continue;
    if (want_data) return std::max(at, begin);
    if (begin > at) return at;
    at = end;
  }
  return want_data || at >= base + kChunkBytes ? std::nullopt : std::optional(at);
}

/// The same over many chunks, in order; chunks that are missing are holes.
std::optional<std::uint64_t> seek_in_chunks(const std::vector<meta::StoredChunk>& chunks, std::uint64_t at,
                                            bool want_data) {
  for (auto& chunk : chunks) {
    std::uint64_t base = chunk.index.value * kChunkBytes;
    if (base + kChunkBytes <= at) continue;
    if (!want_data && base > at) return at;
    at = std::max(at, base);
    if (auto found = seek_in_chunk(chunk.index, chunk.slices, at, want_data)) return found;
    at = base + kChunkBytes;
  }
  return want_data ? std::nullopt : std::optional(at);
}

}  // namespace

// The chunk at `offset` is most often in memory; a file may have 2^31 of them, so the others are asked for together.
Async<std::uint64_t> Volume::lseek_slow(Ino ino, std::uint64_t offset, std::uint32_t whence) {
  (void)co_await settle(ino);  // what is lost is told to who wrote it
  CO_TRY(auto attr, co_await or_stale(or_erased(ino, co_await meta::getattr(client_, ino))));
  if (offset >= attr.length) co_return posix(ENXIO);
  bool want_data = whence == SEEK_DATA;
  ChunkIndex here{static_cast<std::uint32_t>(offset / kChunkBytes)};
  CO_TRY(auto slices, co_await meta::read_slices(client_, ino, here));
  auto found = seek_in_chunk(here, slices, offset, want_data);
  std::uint64_t beyond = (std::uint64_t{here.value} + 1) * kChunkBytes;
  if (!found && beyond < attr.length) {
    CO_TRY(auto chunks, co_await client_.engine().scan_chunks(ino, attr.length));
    std::sort(chunks.begin(), chunks.end(), [](auto& a, auto& b) { return a.index < b.index; });
    found = seek_in_chunks(chunks, beyond, want_data);
  }
  if (want_data && (!found || *found >= attr.length)) co_return posix(ENXIO);
  co_return std::min(found.value_or(attr.length), attr.length);
}

Answer<std::uint64_t> Volume::copy_range(Caller caller, Ino in, HandleId, std::uint64_t in_offset, Ino out, HandleId,
                                         std::uint64_t out_offset, std::uint64_t length) {
  if (is_internal(in)) return posix(EXDEV);
  if (auto refused = refuse_change(out)) return refused;
  return copy_slow(caller, inside(in), in_offset, inside(out), out_offset, length);
}

Async<std::uint64_t> Volume::copy_slow(Caller caller, Ino in, std::uint64_t in_offset, Ino out,
                                       std::uint64_t out_offset, std::uint64_t length) {
  CO_CHECK(co_await settle(in));
  CO_CHECK(co_await settle(out));
  CO_TRY(auto copied,
         co_await meta::copy_range(client_, who(caller), in, in_offset, out, out_offset, length, caller.uid != 0));
  if (caller.uid != 0) mode_changed(out);
  told_.written(out, out_offset + copied.bytes);
  data_.invalidate(out);
  page_cache_.forget(out);
  co_return copied.bytes;
}

}  // namespace kiseki::vfs
