#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "core/result.hpp"

namespace kiseki::object {

/// How blocks are compressed, one by one and without any header of our own (objects.md 5).
enum class Compression : unsigned char {
  none,
  lz4,   ///< one raw LZ4 block, default level
  zstd,  ///< one zstd frame of level 1 that carries its content size; no checksum, no dictionary
};

/// "none" or "", "lz4", "zstd"; nothing for other words.
std::optional<Compression> compression_named(std::string_view word);

/// The most that compressing `plain_bytes` can give.
std::size_t compressed_most(Compression how, std::size_t plain_bytes);

/// Compresses `plain` (up to 16 MiB) into `into`, which has room for `compressed_most` bytes, and returns how many were
/// used. Blocks; any thread, which keeps the compressor's state for next time.
Result<std::size_t> compress(Compression how, std::span<const std::byte> plain, std::span<std::byte> into);

/// Fills `plain` exactly from `stored`, which may be anything: bad_stream or wrong_length when it does not. Needs no
/// memory beyond the decompressor's state.
Result<void> decompress(Compression how, std::span<const std::byte> stored, std::span<std::byte> plain);

}  // namespace kiseki::object
