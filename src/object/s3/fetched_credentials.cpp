#include "object/s3/fetched_credentials.hpp"

#include <boost/json/parse.hpp>
#include <ctime>

#include "core/log.hpp"
#include "net/text_coding.hpp"
#include "object/s3/answer.hpp"
#include "object/s3/profile.hpp"
#include "object/s3/xml.hpp"

namespace kiseki::object::s3 {

namespace {

constexpr std::int64_t kRenewSeconds = 300;
constexpr std::int64_t kPauseSeconds = 10;  // after a failure
constexpr auto kLimit = std::chrono::seconds(10);

net::HttpClient::Options client_options(std::optional<net::HttpUrl> proxy = std::nullopt) {
  net::HttpClient::Options options;
  options.proxy = std::move(proxy);
  options.timeouts.connect = std::chrono::milliseconds(2000);  // where there is no such service, nobody answers
  options.timeouts.first_byte = std::chrono::milliseconds(5000);
  return options;
}

/// Read on a pool thread: the file may lie on something slow.
Async<std::string> token_in(const std::string& path, BlockingPool& pool) {
  auto job = [path]() -> Result<std::string> {
    auto text = small_file(path);
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    return text;
  };
  co_return co_await run_blocking(pool, std::move(job));
}

std::error_code refused(const net::HttpResponse& response, const char* who) {
  log::warn("s3.credentials.refused", {{"service", who}, {"status", response.status}});
  return ObjectErrc::no_credentials;
}

}  // namespace

CredentialsPtr FetchedCredentials::held(std::int64_t at_least_seconds) const {
  std::lock_guard lock(mutex_);
  bool good = held_ && (held_->expires == 0 || held_->expires - std::time(nullptr) > at_least_seconds);
  return good ? held_ : nullptr;
}

bool FetchedCredentials::just_failed() const { return std::time(nullptr) - failed_at_ < kPauseSeconds; }

CredentialsPtr FetchedCredentials::ready() { return held(asking_ || just_failed() ? 0 : kRenewSeconds); }

Async<Credentials> FetchedCredentials::ask_alone() {
  struct Asking {
    explicit Asking(std::atomic<bool>& flag) : flag_(flag) { flag_ = true; }
    ~Asking() { flag_ = false; }  // also when cancelled
    std::atomic<bool>& flag_;
  } asking(asking_);
  co_return co_await ask();
}

Async<CredentialsPtr> FetchedCredentials::fetch() {
  auto turn = co_await fetching_.lock();
  if (auto meanwhile = ready()) co_return meanwhile;
  auto none = ever_held_ ? ObjectErrc::unavailable : ObjectErrc::no_credentials;  // those that come back are waited for
  if (just_failed()) co_return none;
  auto fetched = co_await ask_alone();
  if (!fetched) {
    log::warn("s3.credentials", {{"from", name()}, {"why", fetched.error()}});
    failed_at_ = std::time(nullptr);
    if (auto old = held(0)) co_return old;
    co_return none;
  }
  ever_held_ = true;
  auto made = std::make_shared<const Credentials>(std::move(*fetched));
  std::lock_guard lock(mutex_);
  held_ = made;
  co_return made;
}

void FetchedCredentials::reject(const CredentialsPtr& which) {
  std::lock_guard lock(mutex_);
  if (held_ == which) held_ = nullptr;
}

Result<Credentials> credentials_of_json(const std::string& text) {
  boost::system::error_code ec;
  auto parsed = boost::json::parse(text, ec);
  if (ec || !parsed.is_object()) return ObjectErrc::no_credentials;
  auto member = [&parsed](const char* name) -> std::string {
    auto* value = parsed.as_object().if_contains(name);
    return value && value->is_string() ? std::string(value->as_string()) : std::string();
  };
  Credentials out;
  out.access_key = member("AccessKeyId");
  out.secret_key = member("SecretAccessKey");
  out.session_token = member("Token");
  out.expires = iso_date(member("Expiration")).value_or(0);
  if (out.access_key.empty() || out.secret_key.empty()) return ObjectErrc::no_credentials;
  return out;
}

InstanceCredentials::InstanceCredentials(const net::HttpUrl& base, BlockingPool& pool)
    : client_(base.endpoint, client_options(), pool) {}

Async<net::HttpResponse> InstanceCredentials::get(std::string target, std::string token) {
  net::HttpRequest request;
  request.target = std::move(target);
  request.limit = kLimit;
  request.fields.add("X-aws-ec2-metadata-token", token);
  CO_TRY(auto response, co_await client_.send(std::move(request)));
  if (!response.ok()) co_return refused(response, "instance");
  co_return response;
}

Async<Credentials> InstanceCredentials::ask() {
  net::HttpRequest request;
  request.method = "PUT";
  request.target = "/latest/api/token";
  request.limit = kLimit;
  request.fields.add("X-aws-ec2-metadata-token-ttl-seconds", "21600");
  CO_TRY(auto token, co_await client_.send(std::move(request)));
  if (!token.ok()) co_return refused(token, "instance");
  const std::string roles = "/latest/meta-data/iam/security-credentials/";
  CO_TRY(auto role, co_await get(roles, token.text));
  auto name = role.text.substr(0, role.text.find('\n'));
  if (name.empty()) co_return ObjectErrc::no_credentials;
  CO_TRY(auto keys, co_await get(roles + net::percent_encoded(name), token.text));
  co_return credentials_of_json(keys.text);
}

ContainerCredentials::ContainerCredentials(const net::HttpUrl& url, std::string token, std::string token_file,
                                           BlockingPool& pool)
    : target_(url.target),
      token_(std::move(token)),
      token_file_(std::move(token_file)),
      pool_(pool),
      client_(url.endpoint, client_options(), pool) {}

Async<Credentials> ContainerCredentials::ask() {
  net::HttpRequest request;
  request.target = target_;
  request.limit = kLimit;
  auto token = token_;
  if (!token_file_.empty()) {
    CO_TRY(token, co_await token_in(token_file_, pool_));
  }
  if (!token.empty()) request.fields.add("Authorization", token);
  CO_TRY(auto response, co_await client_.send(std::move(request)));
  if (!response.ok()) co_return refused(response, "container");
  co_return credentials_of_json(response.text);
}

WebIdentityCredentials::WebIdentityCredentials(const net::HttpUrl& sts, std::string role, std::string session,
                                               std::string token_file, std::optional<net::HttpUrl> proxy,
                                               BlockingPool& pool)
    : role_(std::move(role)),
      session_(std::move(session)),
      token_file_(std::move(token_file)),
      pool_(pool),
      client_(sts.endpoint, client_options(std::move(proxy)), pool) {}

Async<Credentials> WebIdentityCredentials::ask() {
  CO_TRY(auto token, co_await token_in(token_file_, pool_));
  auto form = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=" + net::percent_encoded(role_) +
              "&RoleSessionName=" + net::percent_encoded(session_) + "&WebIdentityToken=" + net::percent_encoded(token);
  net::HttpRequest request;
  request.method = "POST";
  request.limit = kLimit;
  request.fields.add("Content-Type", "application/x-www-form-urlencoded");
  request.body.push_back(std::as_bytes(std::span(form)));
  CO_TRY(auto response, co_await client_.send(std::move(request)));
  if (!response.ok()) co_return refused(response, "STS");
  Credentials out;
  out.access_key = xml_text(response.text, "AccessKeyId");
  out.secret_key = xml_text(response.text, "SecretAccessKey");
  out.session_token = xml_text(response.text, "SessionToken");
  out.expires = iso_date(xml_text(response.text, "Expiration")).value_or(0);
  if (out.access_key.empty() || out.secret_key.empty()) co_return ObjectErrc::no_credentials;
  co_return out;
}

}  // namespace kiseki::object::s3
