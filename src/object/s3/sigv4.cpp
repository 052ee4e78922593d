#include "object/s3/sigv4.hpp"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <stdexcept>

namespace kiseki::object::s3 {

namespace {

constexpr std::size_t kDigest = 32;
constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

const unsigned char* bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

void must(bool ok) {
  if (!ok) throw std::runtime_error("OpenSSL has no SHA-256");
}

/// SHA-256 and its HMAC with what is costly about them (finding the algorithm) done once per thread.
class Sha256 {
 public:
  Sha256() : digest_(EVP_MD_CTX_new()) {
    auto* hmac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
    mac_ = EVP_MAC_CTX_new(hmac);
    EVP_MAC_free(hmac);
    char name[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0), OSSL_PARAM_END};
    must(digest_ && mac_ && EVP_MAC_CTX_set_params(mac_, params) == 1);
  }
  ~Sha256() {
    EVP_MD_CTX_free(digest_);
    EVP_MAC_CTX_free(mac_);
  }
  Sha256(const Sha256&) = delete;
  std::string hash(std::string_view text) {
    static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    std::string out(kDigest, '\0');
    must(EVP_DigestInit_ex2(digest_, sha256, nullptr) == 1 &&
         EVP_DigestUpdate(digest_, text.data(), text.size()) == 1 &&
         EVP_DigestFinal_ex(digest_, bytes(out), nullptr) == 1);
    return out;
  }
  std::string hmac(std::string_view key, std::string_view text) {
    std::string out(kDigest, '\0');
    std::size_t size = 0;
    must(EVP_MAC_init(mac_, bytes(key), key.size(), nullptr) == 1 &&
         EVP_MAC_update(mac_, bytes(text), text.size()) == 1 &&
         EVP_MAC_final(mac_, bytes(out), &size, out.size()) == 1);
    return out;
  }

 private:
  EVP_MD_CTX* digest_;
  EVP_MAC_CTX* mac_ = nullptr;
};

Sha256& sha256() {
  thread_local Sha256 mine;
  return mine;
}

std::string hex(std::string_view raw) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(raw.size() * 2);
  for (char c : raw) {
    auto byte = static_cast<unsigned char>(c);
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

std::string signed_names(const ToSign& what) {
  std::string out;
  for (const auto& field : what.fields) out.append(out.empty() ? "" : ";").append(field.name);
  return out;
}

std::string canonical(const ToSign& what, std::string_view names) {
  std::string out;
  out.reserve(512);
  out.append(what.method).append("\n").append(what.path).append("\n").append(what.query).append("\n");
  for (const auto& field : what.fields) out.append(field.name).append(":").append(field.value).append("\n");
  out.append("\n").append(names).append("\n").append(what.payload_hash);
  return out;
}

}  // namespace

std::string sha256_hex(std::string_view text) { return hex(sha256().hash(text)); }

std::string amz_date(std::time_t time) {
  std::tm utc{};
  ::gmtime_r(&time, &utc);
  char text[20] = "";
  auto size = std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &utc);
  return {text, size};
}

std::shared_ptr<const Signer::DayKey> Signer::day_key(std::string_view day, const std::string& secret) const {
  std::lock_guard lock(mutex_);
  if (!day_key_ || day_key_->day != day || day_key_->secret != secret) {
    auto& sha = sha256();
    auto key = sha.hmac("AWS4" + secret, day);
    for (std::string_view part :
         {std::string_view(region_), std::string_view(service_), std::string_view("aws4_request")})
      key = sha.hmac(key, part);
    day_key_ = std::make_shared<const DayKey>(DayKey{std::string(day), secret, std::move(key)});
  }
  return day_key_;
}

std::string Signer::authorization(const ToSign& what, const Credentials& who, std::string_view date) const {
  auto day = date.substr(0, 8);
  auto key = day_key(day, who.secret_key);
  auto names = signed_names(what);
  std::string scope;
  scope.append(day).append("/").append(region_).append("/").append(service_).append("/aws4_request");
  std::string text;
  text.append(kAlgorithm).append("\n").append(date).append("\n").append(scope).append("\n");
  text.append(sha256_hex(canonical(what, names)));
  auto signature = hex(sha256().hmac(key->key, text));
  std::string out;
  out.reserve(256);
  out.append(kAlgorithm).append(" Credential=").append(who.access_key).append("/").append(scope);
  out.append(", SignedHeaders=").append(names).append(", Signature=").append(signature);
  return out;
}

}  // namespace kiseki::object::s3
