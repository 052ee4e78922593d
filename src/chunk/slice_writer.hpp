#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "chunk/block.hpp"
#include "chunk/block_key.hpp"
#include "core/memory.hpp"

namespace kiseki::chunk {

/// A slice that grows in memory: bytes are appended, and changed as long as their block has not been taken for upload.
/// The first block starts with a page of 64 KiB and doubles; later blocks take a whole block of memory at once when
/// there is one. Not thread-safe; does no I/O.
class SliceWriter {
 public:
  SliceWriter(BlockLayout layout, BufferArena& arena) : layout_(layout), arena_(arena) {}

  std::uint32_t size() const { return size_; }
  std::uint32_t sealed() const { return sealed_; }      ///< bytes below belong to blocks already taken
  std::size_t memory_bytes() const { return memory_; }  ///< held in pages not yet taken

  /// Appends as much as there is memory for and returns how much; the rest needs `add_memory` first. At most to a size
  /// of 64 MiB, which the caller sees to.
  std::size_t append(std::span<const std::byte> data);
  /// What to wait for in the arena when append took less: bytes of one page.
  std::size_t page_wanted(std::size_t left) const;
  /// A page for the next append. Refused (false) when it is of no use any more.
  bool add_memory(BufferPtr page);
  /// Changes bytes [at, at + data.size()): all of them at or after sealed() and before size().
  void overwrite(std::uint32_t at, std::span<const std::byte> data);

  struct Piece {
    std::uint32_t index = 0;
    BlockPtr block;
  };
  /// The next block if all its bytes are there; they can no longer be changed.
  std::optional<Piece> take_full_block();
  /// The last, short block, if any. Nothing may be appended afterwards.
  std::optional<Piece> take_rest();

 private:
  struct Growing {  // one block that still takes bytes
    std::vector<BufferPtr> pages;
    std::size_t room = 0;
  };
  std::span<std::byte> bytes_at(std::uint32_t at, std::size_t most) const;
  bool grow(std::size_t left);
  Piece take(std::uint32_t len);

  BlockLayout layout_;
  BufferArena& arena_;
  std::vector<Growing> growing_;  // blocks from sealed_ on
  std::uint32_t size_ = 0, sealed_ = 0;
  std::size_t memory_ = 0;
};

}  // namespace kiseki::chunk
