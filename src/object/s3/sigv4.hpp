#pragma once

#include <ctime>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace kiseki::object::s3 {

/// Who signs. Never logged.
struct Credentials {
  std::string access_key, secret_key, session_token;
  bool anonymous = false;    ///< nothing is signed
  std::int64_t expires = 0;  ///< seconds since 1970; 0: never
};

/// A field that is signed: name in lower case, value without blanks around it.
struct SignedField {
  std::string_view name, value;
};

/// What AWS Signature Version 4 covers (docs: "Create a signed AWS API request").
struct ToSign {
  std::string_view method, path, query;  ///< encoded; the query sorted, without '?'
  std::vector<SignedField> fields;       ///< sorted by name, with host and x-amz-date
  std::string_view payload_hash;         ///< hex, or UNSIGNED-PAYLOAD
};

/// Signs for one service in one region. The key of a day is derived once. Thread-safe.
class Signer {
 public:
  Signer(std::string region, std::string service) : region_(std::move(region)), service_(std::move(service)) {}
  /// The value of the Authorization field. `date`: as x-amz-date has it, 20130524T000000Z.
  std::string authorization(const ToSign& what, const Credentials& who, std::string_view date) const;
  const std::string& region() const { return region_; }

 private:
  struct DayKey {
    std::string day, secret, key;
  };
  std::shared_ptr<const DayKey> day_key(std::string_view day, const std::string& secret) const;

  std::string region_, service_;
  mutable std::mutex mutex_;  // guards day_key_
  mutable std::shared_ptr<const DayKey> day_key_;
};

/// 20130524T000000Z
std::string amz_date(std::time_t time);
std::string sha256_hex(std::string_view bytes);

}  // namespace kiseki::object::s3
