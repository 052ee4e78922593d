#include "vfs/pending_slice.hpp"

#include <algorithm>

namespace kiseki::vfs {

namespace {
constexpr std::size_t kMostExtents = 1000;  // records one commit carries for a slice
}

PendingSlice::Extents::const_iterator PendingSlice::first_after(std::uint64_t at) const {
  auto next = shown_.upper_bound(at);
  if (next != shown_.begin()) {
    auto before = std::prev(next);
    if (before->first + before->second.len > at) return before;
  }
  return next;
}

bool PendingSlice::overlaps(std::uint64_t begin, std::uint64_t end) const {
  auto at = first_after(begin);
  return at != shown_.end() && at->first < end;
}

bool PendingSlice::covers(std::uint64_t begin, std::uint64_t end) const {
  for (auto at = first_after(begin); at != shown_.end() && at->first <= begin; ++at) {
    begin = at->first + at->second.len;
    if (begin >= end) return true;
  }
  return false;
}

bool PendingSlice::has_room(std::size_t bytes) const {
  return !frozen && writer.size() + bytes <= kChunkBytes && shown_.size() < kMostExtents;
}

std::uint64_t PendingSlice::end() const {
  if (shown_.empty()) return 0;
  auto last = std::prev(shown_.end());
  return last->first + last->second.len;
}

/// Cuts [begin, end) out of what is shown.
void PendingSlice::carve(std::uint64_t begin, std::uint64_t end) {
  for (;;) {
    auto at = first_after(begin);
    if (at == shown_.end() || at->first >= end) return;
    auto [from, extent] = *at;
    shown_.erase(at);
    auto stop = from + extent.len;
    if (from < begin) shown_[from] = {static_cast<std::uint32_t>(begin - from), extent.off};
    if (stop > end)
      shown_[end] = {static_cast<std::uint32_t>(stop - end), static_cast<std::uint32_t>(extent.off + (end - from))};
  }
}

void PendingSlice::show(std::uint64_t at, std::uint32_t len, std::uint32_t off) {
  carve(at, at + len);
  auto next = shown_.lower_bound(at);
  if (next != shown_.begin() && at % kChunkBytes != 0) {
    auto& [from, last] = *std::prev(next);
    if (from + last.len == at && last.off + last.len == off) {
      last.len += len;
      return;
    }
  }
  shown_.emplace_hint(next, at, Extent{len, off});
}

std::size_t PendingSlice::append(std::uint64_t at, std::span<const std::byte> data, BufferPtr& spare) {
  auto off = writer.size();
  auto took = writer.append(data);
  if (took < data.size() && spare) {
    if (writer.add_memory(std::move(spare))) took += writer.append(data.subspan(took));
    spare = nullptr;
  }
  if (took > 0) show(at, static_cast<std::uint32_t>(took), off);
  return took;
}

std::size_t PendingSlice::take(std::uint64_t at, std::span<const std::byte> data, BufferPtr& spare) {
  std::size_t done = 0;
  while (done < data.size()) {
    auto here = at + done;
    auto left = data.size() - done;
    auto hit = first_after(here);
    std::size_t step = 0;
    if (hit != shown_.end() && hit->first <= here) {
      auto inside = here - hit->first;
      auto off = static_cast<std::uint32_t>(hit->second.off + inside);
      auto shown = std::min<std::size_t>(left, hit->second.len - inside);
      if (off >= writer.sealed()) {
        writer.overwrite(off, data.subspan(done, shown));
        done += shown;
        continue;
      }
      // Taken for upload: these bytes move to the end of the slice, up to where they could change in place again.
      step = std::min<std::size_t>(shown, writer.sealed() - off);
    } else {
      step = hit == shown_.end() ? left : std::min<std::size_t>(left, hit->first - here);
    }
    auto took = append(here, data.subspan(done, step), spare);
    done += took;
    if (took < step) break;
  }
  tail_ = at + done;
  return done;
}

std::vector<SliceMeta::Placed> PendingSlice::records() const {
  std::vector<SliceMeta::Placed> out;
  out.reserve(shown_.size());
  for (const auto& [at, extent] : shown_) {
    Slice slice{static_cast<std::uint32_t>(at % kChunkBytes), id, writer.size(), extent.off, extent.len};
    out.push_back({ChunkIndex{static_cast<std::uint32_t>(at / kChunkBytes)}, slice});
  }
  return out;
}

}  // namespace kiseki::vfs
