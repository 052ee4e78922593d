#include "object/s3/location.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

#include "net/text_coding.hpp"

namespace kiseki::object::s3 {

namespace {

constexpr std::string_view kAmazon = ".amazonaws.com";

ParsedLocation failure(const std::string& url, const std::string& why) {
  return {std::nullopt, "bucket \"" + url + "\": " + why +
                            "; allowed: https://BUCKET.s3.REGION.amazonaws.com, https://HOST[:PORT]/BUCKET, "
                            "http://HOST[:PORT]/BUCKET"};
}

std::string_view first_set(EnvironmentLookup environment, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const char* value = environment(name);
    if (value && *value) return value;
  }
  return {};
}

bool is_true(std::string_view text) { return !text.empty() && text != "0" && text != "false"; }

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> out;
  for (;;) {
    auto end = text.find(at);
    out.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + 1);
  }
}

void apply_query(std::string_view query, Location& location) {
  for (auto pair : split(query, '&')) {
    auto equals = std::min(pair.find('='), pair.size());
    auto name = pair.substr(0, equals);
    auto value = net::percent_decoded(pair.substr(std::min(equals + 1, pair.size())));
    if (name == "disable-checksum") location.checksums = !is_true(value);
    if (name == "enable-100-continue") location.go_ahead = is_true(value);
    if (name == "disable-100-continue") location.go_ahead = location.go_ahead && !is_true(value);
    if (name == "tls-insecure-skip-verify") location.tls.skip_verification = is_true(value);
    if (name == "ca-certs") location.tls.ca_file = value;
    if (name == "ssl-cert") location.tls.certificate = value;
    if (name == "ssl-key") location.tls.key = value;
    if (name == "region" && !value.empty()) {
      location.region = value;
      location.region_known = true;
    }
  }
}

/// Region in an Amazon host name ("s3.eu-west-1.amazonaws.com", "s3-eu-west-1...", "s3.dualstack.eu-west-1...",
/// "x.s3.eu-west-1.vpce..."); empty when it names none.
std::string region_in(std::string_view host) {
  auto end = host.find(kAmazon);
  auto labels = split(host.substr(0, end), '.');
  if (labels.size() > 1 && labels.back() == "vpce") return std::string(labels[labels.size() - 2]);
  auto last = labels.back();
  if (last == "s3" || last == "s3-external-1") return "us-east-1";
  if (last.starts_with("s3-")) return std::string(last.substr(3));
  return std::string(last);
}

std::string amazon_suffix(std::string_view host) {
  return host.ends_with(".cn") ? ".amazonaws.com.cn" : ".amazonaws.com";
}

/// Where in an Amazon host name the bucket ends: before ".s3." or ".s3-"; npos when none is in it.
std::size_t bucket_end(std::string_view host) { return std::min(host.find(".s3."), host.find(".s3-")); }

void set_amazon_host(Location& location, const std::string& suffix) {
  // A certificate for *.s3... does not cover buckets with dots in their names.
  location.virtual_host = location.bucket.find('.') == std::string::npos;
  auto base = "s3." + location.region + suffix;
  location.endpoint.host = location.virtual_host ? location.bucket + "." + base : base;
}

/// Bucket, region and host of a URL at Amazon. False: there is no bucket in it.
bool place_at_amazon(std::string host, std::string_view path_bucket, Location& location) {
  location.aws = true;
  bool vpce = host.find(".vpce.") != std::string::npos;
  auto end = bucket_end(host);
  if (!path_bucket.empty()) {
    location.bucket = path_bucket;
  } else if (vpce) {
    location.bucket = host.substr(0, host.find('.'));
  } else if (end != std::string::npos) {
    location.bucket = host.substr(0, end);
    host.erase(0, end + 1);
  } else {
    return false;
  }
  location.region = region_in(host);
  location.region_known = true;
  if (vpce) {
    location.aws = false;  // the host stays what it is
    location.virtual_host = path_bucket.empty();
    location.endpoint.host = host;
  } else {
    set_amazon_host(location, amazon_suffix(host));
  }
  return true;
}

/// Region in a host name of Oracle's ("NAMESPACE.compat.objectstorage.REGION.oraclecloud.com") or OVH's
/// ("s3.REGION.io.cloud.ovh.net", also without ".io"); empty in all others.
std::string_view region_elsewhere(std::string_view host) {
  constexpr std::string_view kOracle = ".compat.objectstorage.", kOvh = "s3.";
  if (auto at = host.find(kOracle); at != std::string_view::npos && host.ends_with(".oraclecloud.com"))
    host.remove_prefix(at + kOracle.size());
  else if (host.starts_with(kOvh) && host.ends_with(".cloud.ovh.net"))
    host.remove_prefix(kOvh.size());
  else
    return {};
  return host.substr(0, host.find('.'));
}

/// The same for any other server.
bool place_elsewhere(const std::string& host, std::string_view path_bucket, bool virtual_host, Location& location) {
  auto note_region = [&location](std::string_view server) {
    if (auto region = region_elsewhere(server); !region.empty()) location.region = region, location.region_known = true;
  };
  if (!path_bucket.empty()) {
    location.bucket = path_bucket;
    location.virtual_host = virtual_host;
    location.endpoint.host = virtual_host ? location.bucket + "." + host : host;
    note_region(host);
    return true;
  }
  auto dot = host.find('.');
  bool name =
      std::ranges::any_of(host, [](char c) { return c >= 'a' && c <= 'z'; }) && host.find(':') == std::string::npos;
  if (dot == std::string::npos || !name) return false;  // an address holds no bucket
  location.bucket = host.substr(0, dot);
  location.virtual_host = virtual_host;
  location.endpoint.host = virtual_host ? host : host.substr(dot + 1);
  note_region(std::string_view(host).substr(dot + 1));
  return true;
}

std::string with_scheme(const std::string& storage, const std::string& url) {
  if (url.find("://") != std::string::npos) return url;
  auto host = url.substr(0, url.find_first_of("/:?"));
  bool tls = storage == "s3" && (host.find('.') == std::string::npos || host.find(kAmazon) != std::string::npos);
  return (tls ? "https://" : "http://") + url;
}

bool plausible_bucket(std::string_view name) {
  auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_';
  };
  return !name.empty() && std::ranges::all_of(name, good);
}

}  // namespace

std::string Location::shown() const {
  auto scheme = endpoint.tls ? "https://" : "http://";
  return scheme + endpoint.authority() + base_path();
}

void move_to_region(Location& location, const std::string& region) {
  auto suffix = amazon_suffix(location.endpoint.host);
  location.region = region;
  location.region_known = true;
  set_amazon_host(location, suffix);
}

ParsedLocation parse_location(const std::string& storage, const std::string& bucket_url,
                              EnvironmentLookup environment) {
  auto url = net::HttpUrl::parse(with_scheme(storage, bucket_url));
  if (!url) return failure(bucket_url, "this is not a bucket URL");
  Location location;
  location.endpoint = url->endpoint;
  auto minio = storage == "minio";
  auto region =
      minio ? first_set(environment, {"MINIO_REGION"}) : first_set(environment, {"AWS_REGION", "AWS_DEFAULT_REGION"});
  location.region_known = !region.empty();
  location.region = region.empty() ? "us-east-1" : region;

  auto question = std::min(url->target.find('?'), url->target.size());
  auto path = std::string_view(url->target).substr(1, question == 0 ? 0 : question - 1);
  if (minio && path.starts_with("minio/")) path.remove_prefix(6);
  auto path_bucket = path.substr(0, path.find('/'));

  const auto host = url->endpoint.host;
  bool vhost = !minio && is_true(first_set(environment, {"JFS_S3_VHOST_STYLE"}));
  bool placed = true;
  if (!minio && host.find(kAmazon) != std::string::npos) {
    placed = place_at_amazon(host, path_bucket, location);
  } else if (!minio && path_bucket.empty() && host.find('.') == std::string::npos && location.endpoint.default_port()) {
    location.aws = true;
    location.bucket = host;
    set_amazon_host(location, location.region.starts_with("cn-") ? ".amazonaws.com.cn" : ".amazonaws.com");
  } else if (minio && path_bucket.empty()) {
    placed = false;
  } else {
    placed = place_elsewhere(host, path_bucket, vhost, location);
  }
  if (!placed || !plausible_bucket(location.bucket)) return failure(bucket_url, "it names no bucket");
  if (question < url->target.size()) apply_query(std::string_view(url->target).substr(question + 1), location);
  if (minio) location.checksums = true;
  return {std::move(location), ""};
}

}  // namespace kiseki::object::s3
