#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "meta/failure.hpp"

namespace kiseki::meta {

/// The client version we are compatible with: what Min/MaxClientVersion of a volume are compared to.
inline constexpr std::string_view kCompatibleVersion = "1.4.1";
inline constexpr int kMetaVersion = 1;  ///< the highest metadata version we read

struct Tier {
  std::int64_t id = 0;
  std::string storage_class, tag;
  friend bool operator==(const Tier&, const Tier&) = default;
};

/// What a volume is: the `setting` record, JSON text as JuiceFS 1.4 writes it (sql.md section 8, FORMAT.md). Members
/// are in the order of the text. Secrets are as stored until `decrypt_secrets`.
struct Format {
  std::string name, uuid;
  std::string storage = "file";
  std::string storage_class;
  /// "0".."3"; empty: null or missing, then tier 0 has `storage_class`.
  std::map<std::string, Tier> tiers{{"0", Tier{}}};
  std::string bucket, access_key, secret_key, session_token;
  std::uint32_t block_kib = 4096;
  std::string compression;  ///< none, lz4, zstd or empty
  std::uint32_t shards = 0;
  bool hash_prefix = false;
  std::uint64_t capacity = 0;  ///< bytes, 0: unlimited
  std::uint64_t inodes = 0;    ///< 0: unlimited
  std::string encrypt_key, encrypt_algo;
  bool key_encrypted = false;
  std::int64_t upload_limit = 0, download_limit = 0;  ///< Mbit/s, 0: unlimited
  std::int64_t trash_days = 1;                        ///< 0: no trash
  int meta_version = kMetaVersion;
  std::string min_client_version, max_client_version;
  bool dir_stats = true, user_group_quota = false, enable_acl = false;
  std::string ranger_rest_url, ranger_service;
  bool change_log = false;
  std::int64_t change_log_max_age = 0, change_log_max_lines = 0;  ///< seconds; lines
  std::string kerb_conf;
  std::vector<std::pair<std::string, std::string>>
      unknown;  ///< keys we do not know and their JSON text, kept as they are

  friend bool operator==(const Format&, const Format&) = default;

  /// Reads any JSON layout. Fails (EINVAL) on text that is not an object, a member of the wrong type, or no Name or
  /// UUID.
  static Explained<Format> parse(std::string_view text);
  /// One key per line, in JuiceFS's order; unknown keys last.
  std::string to_json() const;

  std::uint64_t block_bytes() const { return std::uint64_t{block_kib} << 10; }
  bool has_trash() const { return trash_days > 0; }

  /// For people: secrets that are set become "removed".
  Format redacted() const;

  /// Refuses a MetaVersion above ours, and Min/MaxClientVersion that leave us out.
  Explained<void> check_version() const;
  /// What `format` may make: name, block size, compression, shards, trash days in their ranges. Names the bad option.
  Explained<void> check_options() const;

  /// Replaces SecretKey, SessionToken and EncryptKey by their plain text, if KeyEncrypted. Fails on a wrong key or
  /// damage, on secrets a dump has removed, and on EncryptAlgo sm4gcm, whose cipher OpenSSL 3.0 lacks.
  Explained<void> decrypt_secrets();
  /// The reverse, with fresh nonces; sets KeyEncrypted when there is any secret.
  Explained<void> encrypt_secrets();
};

/// `^[a-z0-9][a-z0-9\-]{1,61}[a-z0-9]$`
bool valid_volume_name(std::string_view name);

/// -1, 0, 1 as version `a` is before, equal to, after `b`: numbers, then pre-release text, where none is the greatest;
/// text after '+' does not count. 2 when either is no version.
int compare_versions(std::string_view a, std::string_view b);

/// AES-128-GCM with the MD5 of the UUID text as key, as secrets are stored: base64(nonce[12] ciphertext tag[16]).
Explained<std::string> decrypt_secret(std::string_view uuid, std::string_view stored);
Explained<std::string> encrypt_secret(std::string_view uuid, std::string_view plain);
/// With a nonce (12 bytes) of the caller's choice, for tests of the format.
Explained<std::string> encrypt_secret(std::string_view uuid, std::string_view plain, std::string_view nonce);

}  // namespace kiseki::meta
