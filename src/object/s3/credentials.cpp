#include "object/s3/credentials.hpp"

#include <initializer_list>

#include "object/s3/fetched_credentials.hpp"
#include "object/s3/profile.hpp"

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

std::shared_ptr<CredentialSource> fixed(GivenKeys keys) {
  Credentials out;
  out.access_key = std::move(keys.access_key);
  out.secret_key = std::move(keys.secret_key);
  out.session_token = std::move(keys.session_token);
  return std::make_shared<FixedCredentials>(std::move(out));
}

std::shared_ptr<CredentialSource> from_profile(EnvironmentLookup environment) {
  auto path = first_set(environment, {"AWS_SHARED_CREDENTIALS_FILE"});
  if (path.empty()) path = first_set(environment, {"HOME"}) + "/.aws/credentials";
  auto profile = first_set(environment, {"AWS_PROFILE"});
  auto keys = keys_of_profile(small_file(path), profile.empty() ? "default" : profile);
  return keys ? std::make_shared<FixedCredentials>(std::move(*keys)) : nullptr;
}

std::shared_ptr<CredentialSource> from_web_identity(EnvironmentLookup environment, BlockingPool& pool) {
  auto file = first_set(environment, {"AWS_WEB_IDENTITY_TOKEN_FILE"}), role = first_set(environment, {"AWS_ROLE_ARN"});
  if (file.empty() || role.empty()) return nullptr;
  auto session = first_set(environment, {"AWS_ROLE_SESSION_NAME"});
  auto region = first_set(environment, {"AWS_REGION", "AWS_DEFAULT_REGION"});
  auto named = first_set(environment, {"AWS_ENDPOINT_URL_STS"});
  auto host = region.empty() ? "sts.amazonaws.com" : "sts." + region + ".amazonaws.com";
  if (region.starts_with("cn-")) host += ".cn";
  auto url = net::HttpUrl::parse(named.empty() ? "https://" + host : named);
  if (!url) return nullptr;
  return std::make_shared<WebIdentityCredentials>(*url, role, session.empty() ? "kiseki" : session, file,
                                                  net::proxy_for(url->endpoint, environment), pool);
}

std::shared_ptr<CredentialSource> from_container(EnvironmentLookup environment, BlockingPool& pool) {
  auto relative = first_set(environment, {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"});
  auto full = first_set(environment, {"AWS_CONTAINER_CREDENTIALS_FULL_URI"});
  if (relative.empty() && full.empty()) return nullptr;
  auto url = net::HttpUrl::parse(relative.empty() ? full : "http://169.254.170.2" + relative);
  if (!url) return nullptr;
  return std::make_shared<ContainerCredentials>(*url, first_set(environment, {"AWS_CONTAINER_AUTHORIZATION_TOKEN"}),
                                                first_set(environment, {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"}),
                                                pool);
}

std::shared_ptr<CredentialSource> from_instance(EnvironmentLookup environment, BlockingPool& pool) {
  if (first_set(environment, {"AWS_EC2_METADATA_DISABLED"}) == "true") return nullptr;
  auto named = first_set(environment, {"AWS_EC2_METADATA_SERVICE_ENDPOINT"});
  auto url = net::HttpUrl::parse(named.empty() ? "http://169.254.169.254" : named);
  return url ? std::make_shared<InstanceCredentials>(*url, pool) : nullptr;
}

/// Where nothing can be found.
class NoCredentials final : public CredentialSource {
 public:
  CredentialsPtr ready() override { return nullptr; }
  Async<CredentialsPtr> fetch() override { co_return ObjectErrc::no_credentials; }
  void reject(const CredentialsPtr&) override {}
};

}  // namespace

std::shared_ptr<CredentialSource> find_credentials(const std::string& storage, GivenKeys given,
                                                   EnvironmentLookup environment, BlockingPool& pool) {
  if (given.access_key == "anonymous") {
    Credentials nobody;
    nobody.anonymous = true;
    return std::make_shared<FixedCredentials>(std::move(nobody));
  }
  if (given.access_key.empty()) given = keys_in(storage, environment);
  if (!given.access_key.empty()) return fixed(std::move(given));
  if (storage != "minio") {
    if (auto found = from_web_identity(environment, pool)) return found;
    if (auto found = from_profile(environment)) return found;
    if (auto found = from_container(environment, pool)) return found;
    if (auto found = from_instance(environment, pool)) return found;
  }
  return std::make_shared<NoCredentials>();
}

}  // namespace kiseki::object::s3
