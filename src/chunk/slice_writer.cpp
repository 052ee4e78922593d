#include "chunk/slice_writer.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

namespace kiseki::chunk {

namespace {
constexpr std::size_t kPageBytes = 64 << 10;
}

std::span<std::byte> SliceWriter::bytes_at(std::uint32_t at, std::size_t most) const {
  const auto& block = growing_[(at - sealed_) / layout_.block_bytes];
  std::size_t from = at % layout_.block_bytes;
  most = std::min<std::size_t>(most, layout_.block_bytes - from);
  for (const auto& page : block.pages) {
    if (from < page->size()) return {page->data() + from, std::min(most, page->size() - from)};
    from -= page->size();
  }
  return {};
}

std::size_t SliceWriter::page_wanted(std::size_t left) const {
  std::size_t block_bytes = layout_.block_bytes;
  bool begins_block = size_ % block_bytes == 0;
  if (begins_block && size_ > 0) return block_bytes;  // a slice that has filled a block will likely fill another
  std::size_t have = begins_block ? 0 : growing_.back().room;
  auto wish = std::bit_ceil(std::max({kPageBytes, have, std::min(left, block_bytes)}));
  return std::min(wish, std::max(kPageBytes, std::bit_floor(block_bytes - have)));
}

bool SliceWriter::add_memory(BufferPtr page) {
  bool new_block = size_ % layout_.block_bytes == 0 &&
                   (growing_.empty() || size_ - sealed_ == growing_.size() * layout_.block_bytes);
  if (new_block) growing_.emplace_back();
  auto& block = growing_.back();
  if (block.room >= layout_.block_bytes) return false;
  block.room += page->size();
  memory_ += page->size();
  block.pages.push_back(std::move(page));
  return true;
}

/// Makes room for at least one more byte.
bool SliceWriter::grow(std::size_t left) {
  auto page = arena_.try_allocate(page_wanted(left));
  if (!page) page = arena_.try_allocate(kPageBytes);
  return page && add_memory(std::move(page));
}

std::size_t SliceWriter::append(std::span<const std::byte> data) {
  std::size_t done = 0;
  while (done < data.size()) {
    auto left = data.size() - done;
    bool have_block = (size_ - sealed_) / layout_.block_bytes < growing_.size();
    auto room = have_block ? bytes_at(size_, left) : std::span<std::byte>();
    if (room.empty()) {
      if (!grow(left)) break;
      continue;
    }
    std::memcpy(room.data(), data.data() + done, room.size());
    done += room.size();
    size_ += static_cast<std::uint32_t>(room.size());
  }
  return done;
}

void SliceWriter::overwrite(std::uint32_t at, std::span<const std::byte> data) {
  assert(at >= sealed_ && at + data.size() <= size_);
  while (!data.empty()) {
    auto room = bytes_at(at, data.size());
    std::memcpy(room.data(), data.data(), room.size());
    at += static_cast<std::uint32_t>(room.size());
    data = data.subspan(room.size());
  }
}

SliceWriter::Piece SliceWriter::take(std::uint32_t len) {
  Piece piece{sealed_ / layout_.block_bytes, nullptr};
  std::vector<Block::Page> pages;
  auto left = len;
  for (auto& buffer : growing_.front().pages) {
    memory_ -= buffer->size();
    auto use = std::min<std::uint32_t>(left, static_cast<std::uint32_t>(buffer->size()));
    if (use > 0) pages.push_back({std::move(buffer), 0, use});
    left -= use;
  }
  growing_.erase(growing_.begin());
  piece.block = BlockPtr(new Block(std::move(pages)));
  sealed_ += len;
  return piece;
}

std::optional<SliceWriter::Piece> SliceWriter::take_full_block() {
  if (size_ - sealed_ < layout_.block_bytes) return std::nullopt;
  return take(layout_.block_bytes);
}

std::optional<SliceWriter::Piece> SliceWriter::take_rest() {
  assert(size_ - sealed_ < layout_.block_bytes);
  if (size_ == sealed_) return std::nullopt;
  return take(size_ - sealed_);
}

}  // namespace kiseki::chunk
