#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "object/codec/codec.hpp"

namespace kiseki::object {

/// What a volume's format says of how its objects are stored.
struct CodecSpec {
  std::string compression;                           ///< none, lz4, zstd or empty
  std::string key_pem;                               ///< RSA private key; empty: not encrypted
  std::string passphrase;                            ///< opens a protected key
  std::string algorithm;                             ///< aes256gcm-rsa (or empty), chacha20-rsa
  std::uint32_t block_bytes = 4u << 20;              ///< largest plain block
  std::size_t memory_bytes = std::size_t{64} << 20;  ///< for blocks on their way, about

  /// Whether objects differ from the blocks they hold; then any part of a block costs all of it.
  bool encodes() const { return !key_pem.empty() || (!compression.empty() && compression != "none"); }
};

struct OpenedCodec {
  std::optional<Codec> codec;  ///< nothing on failure
  std::string error;           ///< one sentence: what is wrong, and the remedy
};
OpenedCodec open_codec(const CodecSpec& spec);

}  // namespace kiseki::object
