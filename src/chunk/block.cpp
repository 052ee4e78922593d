#include "chunk/block.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace kiseki::chunk {

Block::Block(std::vector<Page> pages) : pages_(std::move(pages)) {
  for (const auto& page : pages_) {
    size_ += page.len;
    memory_ += page.buffer->size();
  }
}

namespace {

/// Calls `take(bytes)` for each stretch of memory under [from, from + len).
template <class Take>
void each_stretch(const std::vector<Block::Page>& pages, std::uint32_t from, std::uint32_t len, Take take) {
  for (const auto& page : pages) {
    if (len == 0) return;
    if (from >= page.len) {
      from -= page.len;
      continue;
    }
    auto step = std::min(len, page.len - from);
    take(std::span<std::byte>(page.buffer->data() + page.offset + from, step));
    from = 0;
    len -= step;
  }
  assert(len == 0);
}

}  // namespace

void Block::locate(std::uint32_t from, std::uint32_t len, std::vector<iovec>& out) const {
  each_stretch(pages_, from, len, [&out](std::span<std::byte> bytes) { out.push_back({bytes.data(), bytes.size()}); });
}

void Block::copy(std::uint32_t from, std::span<std::byte> into) const {
  each_stretch(pages_, from, static_cast<std::uint32_t>(into.size()), [&into](std::span<std::byte> bytes) {
    std::memcpy(into.data(), bytes.data(), bytes.size());
    into = into.subspan(bytes.size());
  });
}

}  // namespace kiseki::chunk
