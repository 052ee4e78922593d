#pragma once

#include <memory>
#include <string>

#include "core/result.hpp"
#include "core/runtime.hpp"
#include "object/s3/location.hpp"
#include "object/s3/sigv4.hpp"
#include "object/store.hpp"

namespace kiseki::object::s3 {

using CredentialsPtr = std::shared_ptr<const Credentials>;

/// Where keys come from. Any loop.
class CredentialSource {
 public:
  virtual ~CredentialSource() = default;
  /// Those to sign with now, if no waiting is needed; null: ask `fetch`.
  virtual CredentialsPtr ready() = 0;
  /// Gets (new) ones. Errors: ObjectErrc::no_credentials.
  virtual Async<CredentialsPtr> fetch() = 0;
  /// The server says these are no longer good: the next `ready` does not answer them.
  virtual void reject(const CredentialsPtr& which) = 0;
};

/// The same ones for ever.
class FixedCredentials final : public CredentialSource {
 public:
  explicit FixedCredentials(Credentials what) : what_(std::make_shared<const Credentials>(std::move(what))) {}
  CredentialsPtr ready() override { return what_; }
  Async<CredentialsPtr> fetch() override { co_return what_; }
  void reject(const CredentialsPtr&) override {}

 private:
  CredentialsPtr what_;
};

/// Keys as the format or the command line has them.
struct GivenKeys {
  std::string access_key, secret_key, session_token;
};

/// The source of a volume's credentials: the given keys ("anonymous": nothing is signed); else, for s3, what AWS's own
/// tools would find: environment, profile file, the container's or the instance's metadata service; for minio
/// MINIO_ACCESS_KEY and MINIO_SECRET_KEY.
std::shared_ptr<CredentialSource> find_credentials(const std::string& storage, GivenKeys given,
                                                   EnvironmentLookup environment, BlockingPool& pool);

}  // namespace kiseki::object::s3
