#include "object/s3/credentials.hpp"

#include <initializer_list>

namespace kiseki::object::s3 {

namespace {

std::string first_set(EnvironmentLookup environment, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const char* value = environment(name);
    if (value && *value) return value;
  }
  return {};
}

GivenKeys keys_in(const std::string& storage, EnvironmentLookup environment) {
  if (storage == "minio")
    return {first_set(environment, {"MINIO_ACCESS_KEY"}), first_set(environment, {"MINIO_SECRET_KEY"}), ""};
  return {first_set(environment, {"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"}),
          first_set(environment, {"AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"}),
          first_set(environment, {"AWS_SESSION_TOKEN"})};
}

Credentials fixed(GivenKeys keys) {
  Credentials out;
  out.access_key = std::move(keys.access_key);
  out.secret_key = std::move(keys.secret_key);
  out.session_token = std::move(keys.session_token);
  return out;
}

}  // namespace

std::shared_ptr<CredentialSource> find_credentials(const std::string& storage, GivenKeys given,
                                                   EnvironmentLookup environment, BlockingPool& pool) {
  if (given.access_key == "anonymous") {
    Credentials nobody;
    nobody.anonymous = true;
    return std::make_shared<FixedCredentials>(std::move(nobody));
  }
  if (given.access_key.empty()) given = keys_in(storage, environment);
  (void)pool;
  return std::make_shared<FixedCredentials>(fixed(std::move(given)));
}

}  // namespace kiseki::object::s3
