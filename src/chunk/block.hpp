#pragma once

#include <sys/uio.h>

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>
#include <cstdint>
#include <vector>

#include "core/memory.hpp"

namespace kiseki::chunk {

/// Bytes of one block (or a range of one) in arena memory, in one or several pages. Shared by reference; what it holds
/// does not change once it is shared. Any thread.
class Block : public boost::intrusive_ref_counter<Block, boost::thread_safe_counter> {
 public:
  struct Page {
    BufferPtr buffer;
    std::uint32_t offset = 0, len = 0;  ///< the part of the buffer that is ours
  };
  explicit Block(std::vector<Page> pages);
  Block(BufferPtr buffer, std::uint32_t len) : Block(std::vector<Page>{{std::move(buffer), 0, len}}) {}

  std::uint32_t size() const { return size_; }
  std::size_t memory_bytes() const { return memory_; }  ///< of the arena
  const std::vector<Page>& pages() const { return pages_; }

  /// Adds where bytes [from, from + len) lie; within size().
  void locate(std::uint32_t from, std::uint32_t len, std::vector<iovec>& out) const;
  void copy(std::uint32_t from, std::span<std::byte> into) const;

 private:
  std::vector<Page> pages_;
  std::uint32_t size_ = 0;
  std::size_t memory_ = 0;
};
using BlockPtr = boost::intrusive_ptr<const Block>;

}  // namespace kiseki::chunk
