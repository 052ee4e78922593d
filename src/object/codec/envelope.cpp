#include "object/codec/envelope.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>

#include "object/codec/codec_error.hpp"

namespace kiseki::object {

namespace {

constexpr std::size_t kPrefixBytes = 3, kKeyBytes = 32, kNonceBytes = 12;
constexpr std::string_view kLabel = "keys";

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Free>;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, Free>;

/// A data key; wiped when it goes out of scope.
struct DataKey {
  ~DataKey() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
  std::array<unsigned char, kKeyBytes> bytes{};
};

unsigned char* raw(std::span<std::byte> bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }
const unsigned char* raw(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

/// The context of one wrap or unwrap: OAEP with SHA-256 in both places and JuiceFS's label.
KeyContext wrapping(EVP_PKEY* key, int (*init)(EVP_PKEY_CTX*)) {
  KeyContext context(EVP_PKEY_CTX_new(key, nullptr));
  if (!context || init(context.get()) <= 0) return nullptr;
  if (EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING) <= 0 ||
      EVP_PKEY_CTX_set_rsa_oaep_md(context.get(), EVP_sha256()) <= 0 ||
      EVP_PKEY_CTX_set_rsa_mgf1_md(context.get(), EVP_sha256()) <= 0)
    return nullptr;
  auto* label = static_cast<char*>(OPENSSL_memdup(kLabel.data(), kLabel.size()));  // the context owns it on success
  if (EVP_PKEY_CTX_set0_rsa_oaep_label(context.get(), label, kLabel.size()) <= 0) {
    OPENSSL_free(label);
    return nullptr;
  }
  return context;
}

bool wrap(EVP_PKEY* key, const DataKey& data_key, std::span<std::byte> into) {
  auto context = wrapping(key, EVP_PKEY_encrypt_init);
  auto size = into.size();
  return context && EVP_PKEY_encrypt(context.get(), raw(into), &size, data_key.bytes.data(), kKeyBytes) > 0 &&
         size == into.size();
}

bool unwrap(EVP_PKEY* key, std::span<const std::byte> wrapped, DataKey& data_key) {
  auto context = wrapping(key, EVP_PKEY_decrypt_init);
  std::array<unsigned char, 2048> plain{};  // an RSA key of 16384 bits, the longest OpenSSL takes
  auto size = plain.size();
  bool opened = context && EVP_PKEY_decrypt(context.get(), plain.data(), &size, raw(wrapped), wrapped.size()) > 0 &&
                size == kKeyBytes;
  if (opened) std::copy_n(plain.begin(), kKeyBytes, data_key.bytes.begin());
  OPENSSL_cleanse(plain.data(), plain.size());
  return opened;
}

/// The passphrase for OpenSSL: what it takes, or a refusal, never a question at the terminal.
struct Passphrase {
  const std::string& text;
  bool asked = false;
  static int give(char* into, int room, int, void* self) {
    auto& phrase = *static_cast<Passphrase*>(self);
    phrase.asked = true;
    if (phrase.text.empty() || phrase.text.size() > static_cast<std::size_t>(room)) return -1;
    std::copy(phrase.text.begin(), phrase.text.end(), into);
    return static_cast<int>(phrase.text.size());
  }
};

const EVP_CIPHER* cipher_named(std::string_view algorithm) {
  if (algorithm.empty() || algorithm == "aes256gcm-rsa") return EVP_aes_256_gcm();
  if (algorithm == "chacha20-rsa") return EVP_chacha20_poly1305();
  return nullptr;
}

}  // namespace

void Envelope::FreeKey::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }

Envelope::Opened Envelope::open(std::string_view pem, const std::string& passphrase, std::string_view algorithm) {
  auto failure = [](std::string why) {
    ERR_clear_error();
    return Opened{nullptr, std::move(why)};
  };
  std::shared_ptr<Envelope> made(new Envelope());
  made->cipher_ = cipher_named(algorithm);
  if (!made->cipher_)
    return failure("encryption \"" + std::string(algorithm) +
                   "\" is not supported by this version; supported are: aes256gcm-rsa, chacha20-rsa");
  std::unique_ptr<BIO, Free> text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Passphrase phrase{passphrase};
  made->key_.reset(PEM_read_bio_PrivateKey(text.get(), nullptr, &Passphrase::give, &phrase));
  if (!made->key_) {
    if (phrase.asked && passphrase.empty())
      return failure("the encryption key is protected by a passphrase: set JFS_RSA_PASSPHRASE");
    if (phrase.asked) return failure("the passphrase in JFS_RSA_PASSPHRASE does not open the encryption key");
    return failure("the encryption key is not an RSA private key in PEM form");
  }
  if (EVP_PKEY_get_base_id(made->key_.get()) != EVP_PKEY_RSA)
    return failure("the encryption key is not an RSA key; other kinds are not supported by this version");
  auto wrapped = static_cast<std::size_t>(EVP_PKEY_get_size(made->key_.get()));
  constexpr std::size_t kOaepBytes = 2 * 32 + 2;
  if (wrapped < kKeyBytes + kOaepBytes) return failure("the encryption key is too short: RSA needs 1024 bits or more");
  made->header_bytes_ = kPrefixBytes + wrapped + kNonceBytes;
  return {std::move(made), ""};
}

Result<void> Envelope::seal(std::span<std::byte> frame) const {
  auto wrapped = header_bytes_ - kPrefixBytes - kNonceBytes;
  auto nonce = frame.subspan(kPrefixBytes + wrapped, kNonceBytes);
  auto text = frame.subspan(header_bytes_, frame.size() - overhead_bytes());
  auto tag = frame.last(kTagBytes);
  DataKey key;
  if (RAND_priv_bytes(key.bytes.data(), kKeyBytes) != 1 || RAND_bytes(raw(nonce), kNonceBytes) != 1)
    return CodecErrc::no_entropy;
  frame[0] = static_cast<std::byte>(wrapped >> 8);
  frame[1] = static_cast<std::byte>(wrapped & 0xFF);
  frame[2] = static_cast<std::byte>(kNonceBytes);
  CipherContext context(EVP_CIPHER_CTX_new());
  int step = 0;
  bool sealed = context && wrap(key_.get(), key, frame.subspan(kPrefixBytes, wrapped)) &&
                EVP_EncryptInit_ex(context.get(), cipher_, nullptr, key.bytes.data(), raw(nonce)) == 1 &&
                EVP_EncryptUpdate(context.get(), raw(text), &step, raw(text), static_cast<int>(text.size())) == 1 &&
                EVP_EncryptFinal_ex(context.get(), raw(tag), &step) == 1 &&
                EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kTagBytes, raw(tag)) == 1;
  ERR_clear_error();
  return sealed ? Result<void>{} : Result<void>(posix(EIO));
}

Result<std::span<std::byte>> Envelope::unseal(std::span<std::byte> object, std::span<std::byte> into) const {
  if (object.size() < kPrefixBytes) return CodecErrc::truncated;
  auto wrapped = std::to_integer<std::size_t>(object[0]) << 8 | std::to_integer<std::size_t>(object[1]);
  if (std::to_integer<std::size_t>(object[2]) != kNonceBytes) return CodecErrc::bad_header;
  auto header = kPrefixBytes + wrapped + kNonceBytes;
  if (object.size() < header + kTagBytes) return CodecErrc::truncated;
  auto nonce = object.subspan(kPrefixBytes + wrapped, kNonceBytes);
  auto text = object.subspan(header, object.size() - header - kTagBytes);
  auto tag = object.last(kTagBytes);
  auto plain = into.size() >= text.size() ? into.first(text.size()) : text;
  DataKey key;
  if (!unwrap(key_.get(), object.subspan(kPrefixBytes, wrapped), key)) {
    ERR_clear_error();
    return CodecErrc::wrong_key;
  }
  CipherContext context(EVP_CIPHER_CTX_new());
  int step = 0;
  unsigned char none = 0;
  bool fits = context && EVP_DecryptInit_ex(context.get(), cipher_, nullptr, key.bytes.data(), raw(nonce)) == 1 &&
              EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kTagBytes, raw(tag)) == 1 &&
              EVP_DecryptUpdate(context.get(), raw(plain), &step, raw(text), static_cast<int>(text.size())) == 1 &&
              EVP_DecryptFinal_ex(context.get(), &none, &step) == 1;
  ERR_clear_error();
  if (!fits) return CodecErrc::tampered;
  return plain;
}

}  // namespace kiseki::object
