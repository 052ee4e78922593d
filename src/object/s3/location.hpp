#pragma once

#include <optional>
#include <string>

#include "net/http_message.hpp"
#include "net/tls_client.hpp"

namespace kiseki::object::s3 {

/// Where a bucket is and how it is spoken to, out of a bucket URL (forms and environment: objects.md 4.2, 4.3).
struct Location {
  net::HttpEndpoint endpoint;  ///< with the bucket in the host name, if `virtual_host`
  std::string bucket;
  std::string region;
  bool virtual_host = false;
  bool aws = false;           ///< a host of Amazon's, whose name follows from bucket and region
  bool region_known = false;  ///< by URL or environment, not by default
  bool checksums = true;      ///< crc32c metadata is written and verified
  bool go_ahead = false;      ///< large bodies wait for "100 Continue"
  net::TlsOptions tls;

  /// "/BUCKET/" or "/": what stands before a key.
  std::string base_path() const { return virtual_host ? "/" : "/" + bucket + "/"; }
  std::string shown() const;  ///< for logs and people
};

/// The location, or one sentence for a person.
struct ParsedLocation {
  std::optional<Location> location;
  std::string error;
};

using EnvironmentLookup = const char* (*)(const char* name);
/// `storage`: "s3" or "minio".
ParsedLocation parse_location(const std::string& storage, const std::string& bucket_url, EnvironmentLookup environment);

/// Moves an Amazon bucket to another region: the host name follows.
void move_to_region(Location& location, const std::string& region);

}  // namespace kiseki::object::s3
