#include "object/s3/open_s3.hpp"

#include <algorithm>
#include <cstdlib>

#include "net/http_proxy.hpp"
#include "net/text_coding.hpp"
#include "object/s3/s3_store.hpp"

namespace kiseki::object::s3 {

namespace {

constexpr unsigned kLookupThreads = 2;

const char* environment(const char* name) { return std::getenv(name); }

/// Whether it can stand in a header: what is configured must not make lines of its own.
bool one_line(const std::string& text) {
  return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::string tagging(const std::string& tag) {
  auto equals = std::min(tag.find('='), tag.size());
  if (tag.empty()) return "";
  return net::percent_encoded(tag.substr(0, equals)) + "=" +
         net::percent_encoded(tag.substr(std::min(equals + 1, tag.size())));
}

}  // namespace

OpenedStore open_s3(const StoreSpec& spec, const std::string& bucket, Runtime& runtime) {
  auto parsed = parse_location(spec.storage, bucket, environment);
  if (!parsed.location) return {nullptr, std::move(parsed.error)};
  if (auto why = net::unusable_proxy(parsed.location->endpoint, environment); !why.empty()) return {nullptr, why};
  for (const auto& text : {spec.access_key, spec.secret_key, spec.session_token, spec.storage_class, spec.tag})
    if (!one_line(text)) return {nullptr, "a key, storage class or tag of the volume holds a control character"};
  S3Store::Options options;
  options.storage_class = spec.storage_class;
  options.tag = tagging(spec.tag);
  options.get_timeout = spec.timeouts.get;
  options.put_timeout = spec.timeouts.put;
  options.environment = &environment;
  auto& pool = runtime.pool("name-lookup", kLookupThreads);
  auto keys = find_credentials(spec.storage, {spec.access_key, spec.secret_key, spec.session_token}, environment, pool);
  auto store = std::make_shared<S3Store>(std::move(*parsed.location), std::move(keys), std::move(options), pool);
  if (auto why = store->unusable(); !why.empty()) return {nullptr, "bucket \"" + bucket + "\": " + why};
  return {std::move(store), ""};
}

}  // namespace kiseki::object::s3
