#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/result.hpp"

struct evp_cipher_st;  // OpenSSL's EVP_CIPHER
struct evp_pkey_st;    // OpenSSL's EVP_PKEY

namespace kiseki::object {

/// Encryption of whole objects (objects.md 6). Each object has a data key and a nonce of its own; the data key is
/// wrapped with RSA-OAEP (SHA-256, label "keys"):
///   K u16 big-endian | N u8 | wrapped key [K] | nonce [N = 12] | cipher text | tag [16]
/// Any thread; blocks (RSA costs about a millisecond to unwrap), so for a pool.
class Envelope {
 public:
  static constexpr std::size_t kTagBytes = 16;

  struct Opened {
    std::shared_ptr<const Envelope> envelope;  ///< null on failure
    std::string error;                         ///< one sentence: what is wrong with the key, and the remedy
  };
  /// `pem`: an RSA private key in PKCS#1 or PKCS#8, plain or protected by `passphrase`. `algorithm`: aes256gcm-rsa (or
  /// empty), chacha20-rsa.
  static Opened open(std::string_view pem, const std::string& passphrase, std::string_view algorithm);

  /// Bytes before the cipher text of what `seal` makes.
  std::size_t header_bytes() const { return header_bytes_; }
  std::size_t overhead_bytes() const { return header_bytes_ + kTagBytes; }

  /// `frame` is room for the header, the plain text, room for the tag: becomes the object, in place.
  Result<void> seal(std::span<std::byte> frame) const;

  /// Decrypts into `into` if it has room for all of it, else in place, and says where the plain text lies. On an error
  /// what was written there is not to be used. `object` may be anything.
  Result<std::span<std::byte>> unseal(std::span<std::byte> object, std::span<std::byte> into) const;

 private:
  struct FreeKey {
    void operator()(evp_pkey_st* key) const;
  };
  Envelope() = default;
  std::unique_ptr<evp_pkey_st, FreeKey> key_;
  const evp_cipher_st* cipher_ = nullptr;
  std::size_t header_bytes_ = 0;
};

}  // namespace kiseki::object
