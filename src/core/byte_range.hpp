#pragma once

#include <cstdint>
#include <optional>

namespace kiseki {

/// Half-open range of bytes; cannot wrap, because `of` refuses what would.
class ByteRange {
 public:
  static constexpr std::optional<ByteRange> of(std::uint64_t offset, std::uint64_t size) {
    if (size > ~std::uint64_t{0} - offset) return std::nullopt;
    return ByteRange(offset, offset + size);
  }
  constexpr std::uint64_t begin() const { return begin_; }
  constexpr std::uint64_t end() const { return end_; }
  constexpr std::uint64_t size() const { return end_ - begin_; }
  constexpr bool empty() const { return begin_ == end_; }
  friend constexpr bool operator==(ByteRange, ByteRange) = default;

 private:
  constexpr ByteRange(std::uint64_t begin, std::uint64_t end) : begin_(begin), end_(end) {}
  std::uint64_t begin_, end_;
};
static_assert(!ByteRange::of(~0ull, 2) && ByteRange::of(10, 5)->end() == 15);

}  // namespace kiseki
