#include "object/codec/compression.hpp"

#include <lz4.h>
#include <zstd.h>

#include <algorithm>
#include <memory>

#include "object/codec/codec_error.hpp"

namespace kiseki::object {

namespace {

constexpr int kZstdLevel = 1;

struct FreeZstd {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

char* chars(std::span<std::byte> bytes) { return reinterpret_cast<char*>(bytes.data()); }
const char* chars(std::span<const std::byte> bytes) { return reinterpret_cast<const char*>(bytes.data()); }

Result<std::size_t> compress_zstd(std::span<const std::byte> plain, std::span<std::byte> into) {
  thread_local std::unique_ptr<ZSTD_CCtx, FreeZstd> context(ZSTD_createCCtx());
  if (!context) return posix(ENOMEM);
  auto used = ZSTD_compressCCtx(context.get(), into.data(), into.size(), plain.data(), plain.size(), kZstdLevel);
  if (ZSTD_isError(used)) return posix(ENOBUFS);
  return used;
}

Result<void> decompress_lz4(std::span<const std::byte> stored, std::span<std::byte> plain) {
  auto got =
      LZ4_decompress_safe(chars(stored), chars(plain), static_cast<int>(stored.size()), static_cast<int>(plain.size()));
  if (got < 0) return CodecErrc::bad_stream;
  if (static_cast<std::size_t>(got) != plain.size()) return CodecErrc::wrong_length;
  return Result<void>{};
}

Result<void> decompress_zstd(std::span<const std::byte> stored, std::span<std::byte> plain) {
  auto told = ZSTD_getFrameContentSize(stored.data(), stored.size());
  if (told == ZSTD_CONTENTSIZE_ERROR || told == ZSTD_CONTENTSIZE_UNKNOWN) return CodecErrc::bad_stream;
  if (told != plain.size()) return CodecErrc::wrong_length;
  thread_local std::unique_ptr<ZSTD_DCtx, FreeZstd> context(ZSTD_createDCtx());
  if (!context) return posix(ENOMEM);
  auto got = ZSTD_decompressDCtx(context.get(), plain.data(), plain.size(), stored.data(), stored.size());
  if (ZSTD_isError(got)) return CodecErrc::bad_stream;
  if (got != plain.size()) return CodecErrc::wrong_length;
  return Result<void>{};
}

}  // namespace

std::optional<Compression> compression_named(std::string_view word) {
  if (word.empty() || word == "none") return Compression::none;
  if (word == "lz4") return Compression::lz4;
  if (word == "zstd") return Compression::zstd;
  return std::nullopt;
}

std::size_t compressed_most(Compression how, std::size_t plain_bytes) {
  switch (how) {
    case Compression::none:
      break;
    case Compression::lz4:
      return plain_bytes + plain_bytes / 255 + 16;
    case Compression::zstd:
      return ZSTD_COMPRESSBOUND(plain_bytes);
  }
  return plain_bytes;
}

Result<std::size_t> compress(Compression how, std::span<const std::byte> plain, std::span<std::byte> into) {
  if (into.size() < compressed_most(how, plain.size())) return posix(ENOBUFS);
  switch (how) {
    case Compression::none:
      std::ranges::copy(plain, into.begin());
      return plain.size();
    case Compression::lz4: {
      auto used = LZ4_compress_default(chars(plain), chars(into), static_cast<int>(plain.size()),
                                       static_cast<int>(into.size()));
      if (used <= 0) return posix(ENOBUFS);
      return static_cast<std::size_t>(used);
    }
    case Compression::zstd:
      return compress_zstd(plain, into);
  }
  return posix(EINVAL);
}

Result<void> decompress(Compression how, std::span<const std::byte> stored, std::span<std::byte> plain) {
  switch (how) {
    case Compression::none:
      if (stored.size() < plain.size()) return CodecErrc::wrong_length;
      std::ranges::copy(stored.first(plain.size()), plain.begin());
      return Result<void>{};
    case Compression::lz4:
      if (stored.empty()) return CodecErrc::truncated;
      return decompress_lz4(stored, plain);
    case Compression::zstd:
      if (stored.empty()) return CodecErrc::truncated;
      return decompress_zstd(stored, plain);
  }
  return posix(EINVAL);
}

}  // namespace kiseki::object
