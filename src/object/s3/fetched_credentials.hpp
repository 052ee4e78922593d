#pragma once

#include <atomic>
#include <mutex>
#include <string>

#include "core/async.hpp"
#include "net/http_client.hpp"
#include "object/s3/credentials.hpp"

namespace kiseki::object::s3 {

/// Credentials that a service hands out for a while: the metadata service of the instance (IMDSv2) or of the container
/// (ECS, EKS pod identity), or STS for a web identity (EKS service accounts). New ones are fetched when the old ones
/// have less than five minutes left, by one request while the others go on with the old; while the service does not
/// answer, the old ones serve as long as they hold, and it is asked again after some seconds only.
class FetchedCredentials : public CredentialSource {
 public:
  CredentialsPtr ready() override;
  Async<CredentialsPtr> fetch() override;
  void reject(const CredentialsPtr& which) override;

 protected:
  /// Asks the service. Errors: any; they become no_credentials.
  virtual Async<Credentials> ask() = 0;
  virtual std::string name() const = 0;  ///< for logs

 private:
  CredentialsPtr held(std::int64_t at_least_seconds) const;
  bool just_failed() const;
  Async<Credentials> ask_alone();
  Mutex fetching_;
  std::atomic<bool> asking_ = false;
  std::atomic<bool> ever_held_ = false;
  std::atomic<std::int64_t> failed_at_ = 0;  // seconds of the epoch
  mutable std::mutex mutex_;                 // guards held_
  CredentialsPtr held_;
};

/// The role of an EC2 instance. `base`: http://169.254.169.254, or what AWS_EC2_METADATA_SERVICE_ENDPOINT says.
class InstanceCredentials final : public FetchedCredentials {
 public:
  InstanceCredentials(const net::HttpUrl& base, BlockingPool& pool);

 private:
  Async<Credentials> ask() override;
  std::string name() const override { return "instance metadata"; }
  Async<net::HttpResponse> get(std::string target, std::string token);
  net::HttpClient client_;
};

/// The role of a container. The token, if any, is sent as Authorization; from a file it is read anew each time.
class ContainerCredentials final : public FetchedCredentials {
 public:
  ContainerCredentials(const net::HttpUrl& url, std::string token, std::string token_file, BlockingPool& pool);

 private:
  Async<Credentials> ask() override;
  std::string name() const override { return "container metadata"; }
  std::string target_, token_, token_file_;
  BlockingPool& pool_;
  net::HttpClient client_;
};

/// A role taken on with a token that the cluster writes to a file (AssumeRoleWithWebIdentity).
class WebIdentityCredentials final : public FetchedCredentials {
 public:
  WebIdentityCredentials(const net::HttpUrl& sts, std::string role, std::string session, std::string token_file,
                         std::optional<net::HttpUrl> proxy, BlockingPool& pool);

 private:
  Async<Credentials> ask() override;
  std::string name() const override { return "web identity"; }
  std::string role_, session_, token_file_;
  BlockingPool& pool_;
  net::HttpClient client_;
};

/// {"AccessKeyId": ..., "SecretAccessKey": ..., "Token": ..., "Expiration": ...}
Result<Credentials> credentials_of_json(const std::string& text);

}  // namespace kiseki::object::s3
