#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <memory>

#include "meta/format.hpp"

namespace kiseki::meta {
namespace {

constexpr std::size_t kNonce = 12, kTag = 16;

Failure damaged(std::string why) { return {std::make_error_code(std::errc::invalid_argument), std::move(why)}; }

const unsigned char* bytes(std::string_view s) { return reinterpret_cast<const unsigned char*>(s.data()); }
unsigned char* bytes(std::string& s) { return reinterpret_cast<unsigned char*>(s.data()); }

std::string to_base64(std::string_view in) {
  std::string out(4 * ((in.size() + 2) / 3) + 1, '\0');
  auto n = EVP_EncodeBlock(bytes(out), bytes(in), static_cast<int>(in.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

/// Empty when it is no base64 with padding.
std::string from_base64(std::string_view in) {
  if (in.empty() || in.size() % 4 != 0) return {};
  std::string out(in.size() / 4 * 3, '\0');
  if (EVP_DecodeBlock(bytes(out), bytes(in), static_cast<int>(in.size())) < 0) return {};
  std::size_t padding = in.ends_with("==") ? 2 : in.ends_with("=") ? 1 : 0;
  out.resize(out.size() - padding);
  return out;
}

using Key = std::array<unsigned char, 16>;
Key key_of(std::string_view uuid) {
  Key key{};
  unsigned size = 0;
  EVP_Digest(uuid.data(), uuid.size(), key.data(), &size, EVP_md5(), nullptr);
  return key;
}

struct FreeCtx {
  void operator()(EVP_CIPHER_CTX* ctx) const { EVP_CIPHER_CTX_free(ctx); }
};
using Ctx = std::unique_ptr<EVP_CIPHER_CTX, FreeCtx>;

}  // namespace

Explained<std::string> encrypt_secret(std::string_view uuid, std::string_view plain, std::string_view nonce) {
  if (nonce.size() != kNonce) return damaged("a nonce has 12 bytes");
  auto key = key_of(uuid);
  Ctx ctx(EVP_CIPHER_CTX_new());
  std::string out(nonce);
  out.resize(kNonce + plain.size() + kTag);
  int n = 0, rest = 0;
  bool ok = ctx && EVP_EncryptInit_ex(ctx.get(), EVP_aes_128_gcm(), nullptr, key.data(), bytes(nonce)) == 1 &&
            EVP_EncryptUpdate(ctx.get(), bytes(out) + kNonce, &n, bytes(plain), static_cast<int>(plain.size())) == 1 &&
            EVP_EncryptFinal_ex(ctx.get(), bytes(out) + kNonce + n, &rest) == 1 &&
            EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_GCM_GET_TAG, kTag, bytes(out) + kNonce + plain.size()) == 1;
  if (!ok) return damaged("OpenSSL refused to encrypt a secret of the volume");
  return to_base64(out);
}

Explained<std::string> encrypt_secret(std::string_view uuid, std::string_view plain) {
  std::string nonce(kNonce, '\0');
  if (RAND_bytes(bytes(nonce), kNonce) != 1) return damaged("OpenSSL has no random bytes");
  return encrypt_secret(uuid, plain, nonce);
}

Explained<std::string> decrypt_secret(std::string_view uuid, std::string_view stored) {
  auto raw = from_base64(stored);
  if (raw.size() < kNonce + kTag) return damaged("not a base64 text of an encrypted secret");
  auto key = key_of(uuid);
  auto size = raw.size() - kNonce - kTag;
  std::string tag = raw.substr(kNonce + size), plain(size, '\0');
  Ctx ctx(EVP_CIPHER_CTX_new());
  int n = 0, rest = 0;
  unsigned char none = 0;
  bool ok =
      ctx && EVP_DecryptInit_ex(ctx.get(), EVP_aes_128_gcm(), nullptr, key.data(), bytes(raw)) == 1 &&
      EVP_DecryptUpdate(ctx.get(), size ? bytes(plain) : &none, &n, bytes(raw) + kNonce, static_cast<int>(size)) == 1 &&
      EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_GCM_SET_TAG, kTag, bytes(tag)) == 1 &&
      EVP_DecryptFinal_ex(ctx.get(), size ? bytes(plain) + n : &none, &rest) == 1;
  if (!ok) return damaged("its tag does not match: damaged, or encrypted under another UUID");
  return plain;
}

namespace {

struct Secret {
  std::string Format::* member;
  const char* name;
};
constexpr Secret kSecrets[] = {
    {&Format::secret_key, "SecretKey"}, {&Format::session_token, "SessionToken"}, {&Format::encrypt_key, "EncryptKey"}};
constexpr std::string_view kRemoved = "removed";

Explained<void> known_cipher(const Format& format) {
  if (format.encrypt_algo != "sm4gcm") return {};
  return damaged("EncryptAlgo sm4gcm is not supported: its secrets need SM4-GCM, which OpenSSL 3.0 does not have");
}

}  // namespace

Explained<void> Format::decrypt_secrets() {
  for (auto secret : kSecrets)
    if (this->*secret.member == kRemoved)
      return damaged(std::string(secret.name) +
                     " of this volume was removed by a dump; set it again with `kiseki config`");
  if (!key_encrypted) return {};
  if (auto known = known_cipher(*this); !known) return known;
  for (auto secret : kSecrets) {
    auto& text = this->*secret.member;
    if (text.empty()) continue;
    auto plain = decrypt_secret(uuid, text);
    if (!plain)
      return damaged(std::string(secret.name) + " of this volume cannot be decrypted: " + plain.error().message);
    text = std::move(*plain);
  }
  key_encrypted = false;
  return {};
}

Explained<void> Format::encrypt_secrets() {
  if (key_encrypted) return {};
  if (secret_key.empty() && session_token.empty() && encrypt_key.empty()) return {};
  if (auto known = known_cipher(*this); !known) return known;
  for (auto secret : kSecrets) {
    auto& text = this->*secret.member;
    if (text.empty()) continue;
    auto stored = encrypt_secret(uuid, text);
    if (!stored) return stored.error();
    text = std::move(*stored);
  }
  key_encrypted = true;
  return {};
}

Format Format::redacted() const {
  Format shown = *this;
  for (auto secret : kSecrets)
    if (!(shown.*secret.member).empty()) shown.*secret.member = kRemoved;
  return shown;
}

}  // namespace kiseki::meta
