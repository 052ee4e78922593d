#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace kiseki {

/// Builds a record of exactly N bytes, big-endian, at compile time too.
template <std::size_t N>
class BigEndian {
 public:
  constexpr BigEndian u8(std::uint8_t v) { return put(v, 1); }
  constexpr BigEndian u16(std::uint16_t v) { return put(v, 2); }
  constexpr BigEndian u32(std::uint32_t v) { return put(v, 4); }
  constexpr BigEndian u64(std::uint64_t v) { return put(v, 8); }
  /// All N bytes; fewer or more written is a bug of the caller.
  constexpr std::array<std::byte, N> full() const {
    assert(at_ == N);
    return bytes_;
  }

 private:
  constexpr BigEndian put(std::uint64_t v, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i) bytes_[at_ + i] = static_cast<std::byte>(v >> (8 * (width - 1 - i)));
    at_ += width;
    return *this;
  }
  std::array<std::byte, N> bytes_{};
  std::size_t at_ = 0;
};

/// Appends big-endian numbers to a byte string.
class BigEndianWriter {
 public:
  explicit BigEndianWriter(std::string& out) : out_(out) {}
  BigEndianWriter& u8(std::uint8_t v) { return put(v, 1); }
  BigEndianWriter& u16(std::uint16_t v) { return put(v, 2); }
  BigEndianWriter& u32(std::uint32_t v) { return put(v, 4); }
  BigEndianWriter& u64(std::uint64_t v) { return put(v, 8); }
  BigEndianWriter& bytes(std::string_view v) {
    out_.append(v);
    return *this;
  }

 private:
  BigEndianWriter& put(std::uint64_t v, int width) {
    for (int shift = 8 * (width - 1); shift >= 0; shift -= 8) out_.push_back(static_cast<char>(v >> shift));
    return *this;
  }
  std::string& out_;
};

/// Reads big-endian numbers from untrusted bytes. Past the end every read gives 0 and `ok()` turns false for good.
class BigEndianReader {
 public:
  explicit BigEndianReader(std::string_view in) : in_(in) {}
  explicit BigEndianReader(std::span<const std::byte> in) : in_(reinterpret_cast<const char*>(in.data()), in.size()) {}
  std::uint8_t u8() { return static_cast<std::uint8_t>(get(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(get(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(get(4)); }
  std::uint64_t u64() { return get(8); }
  std::string_view bytes(std::size_t n) {
    if (n > in_.size()) return ok_ = false, in_ = {}, std::string_view();
    auto out = in_.substr(0, n);
    in_.remove_prefix(n);
    return out;
  }
  std::size_t left() const { return in_.size(); }
  bool ok() const { return ok_; }

 private:
  std::uint64_t get(std::size_t width) {
    std::uint64_t v = 0;
    for (char c : bytes(width)) v = v << 8 | static_cast<unsigned char>(c);
    return v;
  }
  std::string_view in_;
  bool ok_ = true;
};

}  // namespace kiseki
