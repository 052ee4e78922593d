#include "object/s3/answer.hpp"

#include <charconv>

#include "net/net_error.hpp"
#include "object/s3/xml.hpp"

namespace kiseki::object::s3 {

namespace {

struct Meaning {
  std::string_view code;
  ObjectErrc error;
};

/// Codes of AWS, MinIO and Ceph that mean more than their HTTP status.
constexpr Meaning kMeanings[] = {
    {"NoSuchKey", ObjectErrc::not_found},
    {"NoSuchBucket", ObjectErrc::no_bucket},
    {"BucketAlreadyExists", ObjectErrc::already_there},
    {"BucketAlreadyOwnedByYou", ObjectErrc::already_there},
    {"AccessDenied", ObjectErrc::access_denied},
    {"InvalidAccessKeyId", ObjectErrc::unknown_key},
    {"SignatureDoesNotMatch", ObjectErrc::wrong_signature},
    {"ExpiredToken", ObjectErrc::expired_token},
    {"TokenRefreshRequired", ObjectErrc::expired_token},
    {"InvalidToken", ObjectErrc::expired_token},
    {"InvalidTokenId", ObjectErrc::expired_token},
    {"RequestTimeTooSkewed", ObjectErrc::clock_skew},
    {"RequestExpired", ObjectErrc::clock_skew},
    {"AuthorizationHeaderMalformed", ObjectErrc::wrong_region},
    {"PermanentRedirect", ObjectErrc::wrong_region},
    {"TemporaryRedirect", ObjectErrc::wrong_region},
    {"IllegalLocationConstraintException", ObjectErrc::wrong_region},
    {"InvalidLocationConstraint", ObjectErrc::wrong_region},
    {"InvalidRegion", ObjectErrc::wrong_region},
    {"SlowDown", ObjectErrc::throttled},
    {"SlowDownRead", ObjectErrc::throttled},
    {"SlowDownWrite", ObjectErrc::throttled},
    {"ServiceUnavailable", ObjectErrc::throttled},
    {"TooManyRequests", ObjectErrc::throttled},
    {"RequestLimitExceeded", ObjectErrc::throttled},
    {"ThrottlingException", ObjectErrc::throttled},
    {"RequestTimeout", ObjectErrc::unavailable},
    {"InternalError", ObjectErrc::unavailable},
    {"IncompleteBody", ObjectErrc::unavailable},
    {"OperationAborted", ObjectErrc::unavailable},
    {"BadDigest", ObjectErrc::unavailable},
    {"XAmzContentChecksumMismatch", ObjectErrc::unavailable},
    {"QuotaExceeded", ObjectErrc::no_space},
    {"XMinioStorageFull", ObjectErrc::no_space},
    {"XMinioAdminBucketQuotaExceeded", ObjectErrc::no_space},
};

ObjectErrc by_status(int status) {
  switch (status) {
    case 301:
    case 307:
      return ObjectErrc::wrong_region;
    case 401:
    case 403:
      return ObjectErrc::access_denied;
    case 404:
      return ObjectErrc::not_found;
    case 408:
    case 409:
      return ObjectErrc::unavailable;
    case 429:
    case 503:
      return ObjectErrc::throttled;
    case 507:
      return ObjectErrc::no_space;
    case 501:
      return ObjectErrc::bad_request;
    default:
      return status >= 500 ? ObjectErrc::unavailable : ObjectErrc::bad_request;
  }
}

template <class T>
bool number(std::string_view& text, T& out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

bool skip(std::string_view& text, std::string_view what) {
  if (!text.starts_with(what)) return false;
  text.remove_prefix(what.size());
  return true;
}

std::optional<std::int64_t> parse_time(std::string_view text, const char* pattern) {
  std::tm utc{};
  if (!::strptime(std::string(text).c_str(), pattern, &utc)) return std::nullopt;
  return ::timegm(&utc);
}

}  // namespace

std::error_code meaning_of(std::string_view code) {
  for (const auto& meaning : kMeanings)
    if (code == meaning.code) return meaning.error;
  return ObjectErrc::bad_request;
}

Refusal refusal_of(const net::HttpResponse& response) {
  Refusal out;
  out.status = response.status;
  out.code = xml_text(response.text, "Code");
  out.message = xml_text(response.text, "Message").substr(0, 300);
  out.request_id = response.fields.find("x-amz-request-id");
  out.region = response.fields.find("x-amz-bucket-region");
  if (out.region.empty()) out.region = xml_text(response.text, "Region");
  auto known = meaning_of(out.code);
  out.error = known == ObjectErrc::bad_request ? make_error_code(by_status(response.status)) : known;
  return out;
}

std::error_code object_error_of(std::error_code error) {
  if (error == posix(ECANCELED) || error == posix(ETIMEDOUT)) return error;
  if (error == net::NetErrc::too_large) return ObjectErrc::corrupt;
  if (error == net::NetErrc::untrusted || error == net::NetErrc::tls_failed) return ObjectErrc::untrusted;
  bool nobody = error == net::NetErrc::unknown_host || error == net::NetErrc::proxy_refused ||
                error == posix(ECONNREFUSED) || error == posix(EHOSTUNREACH) || error == posix(ENETUNREACH);
  return nobody ? ObjectErrc::unreachable : ObjectErrc::unavailable;
}

std::optional<std::int64_t> http_date(std::string_view text) { return parse_time(text, "%a, %d %b %Y %H:%M:%S GMT"); }
std::optional<std::int64_t> iso_date(std::string_view text) { return parse_time(text, "%Y-%m-%dT%H:%M:%S"); }

std::optional<ContentRange> content_range(std::string_view text) {
  ContentRange out;
  std::uint64_t last = 0;
  if (!skip(text, "bytes ") || !number(text, out.begin) || !skip(text, "-") || !number(text, last)) return std::nullopt;
  if (!skip(text, "/") || last < out.begin || last == ~std::uint64_t{0}) return std::nullopt;
  if (text != "*" && !number(text, out.total)) return std::nullopt;
  out.end = last + 1;
  return out;
}

}  // namespace kiseki::object::s3
