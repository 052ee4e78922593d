// Where keys come from, against metadata services of our own.
#include <gtest/gtest.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>

#include "object/s3/fetched_credentials.hpp"
#include "object/s3/profile.hpp"
#include "support/fake_http_server.hpp"
#include "support/run.hpp"

namespace kiseki::object::s3 {
namespace {

std::map<std::string, std::string> g_environment;

const char* look(const char* name) {
  auto at = g_environment.find(name);
  return at == g_environment.end() ? nullptr : at->second.c_str();
}

std::string iso(std::time_t time) {
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&time));
  return text;
}

std::string json(const std::string& key, std::time_t expires) {
  return R"({"Code":"Success","AccessKeyId":")" + key + R"(","SecretAccessKey":"s","Token":"t","Expiration":")" +
         iso(expires) + "\"}";
}

class CredentialsTest : public ::testing::Test {
 protected:
  void SetUp() override { g_environment = {{"HOME", "/no/such/home"}, {"AWS_EC2_METADATA_DISABLED", "true"}}; }
  Result<CredentialsPtr> fetch(CredentialSource& source) {
    Result<CredentialsPtr> out = posix(EIO);
    test::run([&]() -> asio::awaitable<void> {
      if (auto ready = source.ready())
        out = ready;
      else
        out = co_await source.fetch();
    });
    return out;
  }
  std::string found(std::string storage = "s3", GivenKeys given = {}) {
    source_ = find_credentials(storage, std::move(given), look, pool_);
    auto fetched = fetch(*source_);
    if (!fetched) return fetched.error().message();
    return (*fetched)->anonymous ? "anonymous" : (*fetched)->access_key;
  }
  std::string file(const std::string& name, const std::string& text) {
    auto path = (folder_ / name).string();
    std::filesystem::create_directories(folder_);
    std::ofstream(path) << text;
    return path;
  }
  ~CredentialsTest() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("kiseki-credentials-" + std::to_string(::getpid()));
  BlockingPool pool_{"name-lookup", 1};
  std::shared_ptr<CredentialSource> source_;
};

TEST_F(CredentialsTest, GivenOnesComeFirst) {
  g_environment["AWS_ACCESS_KEY_ID"] = "ENV";
  EXPECT_EQ(found("s3", {"GIVEN", "s", ""}), "GIVEN");
  EXPECT_EQ(found("s3", {"anonymous", "", ""}), "anonymous");
  EXPECT_EQ(found(), "ENV");
  g_environment["MINIO_ACCESS_KEY"] = "MINIO";
  EXPECT_EQ(found("minio"), "MINIO");
  g_environment.clear();
  EXPECT_EQ(found("minio"), "no credentials for the object store were found");
}

TEST_F(CredentialsTest, AProfileFile) {
  auto text =
      "# mine\n[default]\naws_access_key_id=DEF\naws_secret_access_key = s\n\n[ work ]\r\naws_access_key_id = WORK\r\n"
      "aws_secret_access_key = x=y\r\naws_session_token = tok\r\n[half]\naws_access_key_id = H\n";
  g_environment["AWS_SHARED_CREDENTIALS_FILE"] = file("credentials", text);
  EXPECT_EQ(found(), "DEF");
  g_environment["AWS_PROFILE"] = "work";
  EXPECT_EQ(found(), "WORK");
  EXPECT_EQ(keys_of_profile(text, "work")->secret_key, "x=y");
  EXPECT_EQ(keys_of_profile(text, "work")->session_token, "tok");
  EXPECT_FALSE(keys_of_profile(text, "half"));
  EXPECT_FALSE(keys_of_profile(text, "none"));
}

TEST_F(CredentialsTest, OldKeysServeWhileTheServiceIsAwayAndItIsNotAskedAllTheTime) {
  std::atomic<int> asked{0};
  test::FakeHttpServer server([&asked](test::FakePeer& peer) {
    for (auto head = peer.request(); !head.empty(); head = peer.request()) {
      if (head.starts_with("PUT ") && ++asked > 1) {
        peer.say("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
      } else if (head.starts_with("PUT ")) {
        peer.ok("TOKEN");
      } else if (head.starts_with("GET /latest/meta-data/iam/security-credentials/ ")) {
        peer.ok("my-role");
      } else {
        peer.ok(json("ROLE", std::time(nullptr) + 60));
      }
    }
  });
  g_environment.erase("AWS_EC2_METADATA_DISABLED");
  g_environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = "http://127.0.0.1:" + std::to_string(server.port());
  EXPECT_EQ(found(), "ROLE");
  for (int i = 0; i < 5; ++i) EXPECT_EQ((*fetch(*source_))->access_key, "ROLE") << "still good for a minute";
  EXPECT_EQ(asked, 2) << "one try, then a pause";
  EXPECT_TRUE(source_->ready()) << "nobody waits meanwhile";
  source_->reject(source_->ready());
  EXPECT_EQ(fetch(*source_).error(), ObjectErrc::unavailable) << "to be tried again, not the end";
}

TEST_F(CredentialsTest, TheInstancesRoleIsFetchedAndRenewed) {
  std::atomic<int> given{0};
  test::FakeHttpServer server([&given](test::FakePeer& peer) {
    for (auto head = peer.request(); !head.empty(); head = peer.request()) {
      bool token = head.find("X-aws-ec2-metadata-token: TOKEN\r\n") != std::string::npos;
      if (head.starts_with("PUT /latest/api/token ")) {
        EXPECT_NE(head.find("X-aws-ec2-metadata-token-ttl-seconds: 21600\r\n"), std::string::npos);
        peer.ok("TOKEN");
      } else if (!token) {
        peer.say("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
      } else if (head.starts_with("GET /latest/meta-data/iam/security-credentials/ ")) {
        peer.ok("my-role");
      } else if (head.starts_with("GET /latest/meta-data/iam/security-credentials/my-role ")) {
        ++given;  // the first ones are about to expire
        peer.ok(json("ROLE" + std::to_string(given), std::time(nullptr) + (given == 1 ? 60 : 3600)));
      }
    }
  });
  g_environment.erase("AWS_EC2_METADATA_DISABLED");
  g_environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = "http://127.0.0.1:" + std::to_string(server.port());
  EXPECT_EQ(found(), "ROLE1");
  EXPECT_EQ((*fetch(*source_))->access_key, "ROLE2") << "less than five minutes were left";
  auto held = *fetch(*source_);
  EXPECT_EQ(held->access_key, "ROLE2");
  EXPECT_EQ(held->session_token, "t");
  source_->reject(held);
  EXPECT_EQ((*fetch(*source_))->access_key, "ROLE3") << "the server no longer takes them";
}

TEST_F(CredentialsTest, OldOnesServeWhileTheServiceIsAway) {
  std::atomic<bool> away{false};
  test::FakeHttpServer server([&away](test::FakePeer& peer) {
    for (auto head = peer.request(); !head.empty() && !away; head = peer.request())
      peer.ok(json("TASK", std::time(nullptr) + 100));
  });
  g_environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://127.0.0.1:" + std::to_string(server.port()) + "/v2";
  EXPECT_EQ(found(), "TASK");
  away = true;
  EXPECT_EQ((*fetch(*source_))->access_key, "TASK");
}

TEST_F(CredentialsTest, AContainersRoleWithATokenFile) {
  std::string seen;
  test::FakeHttpServer server([&seen](test::FakePeer& peer) {
    seen = peer.request();
    peer.ok(json("POD", std::time(nullptr) + 3600));
  });
  g_environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] =
      "http://127.0.0.1:" + std::to_string(server.port()) + "/v1/c?x=1";
  g_environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = file("token", "let-me-in\n");
  EXPECT_EQ(found(), "POD");
  server.stop();
  EXPECT_TRUE(seen.starts_with("GET /v1/c?x=1 HTTP/1.1\r\n"));
  EXPECT_NE(seen.find("Authorization: let-me-in\r\n"), std::string::npos) << seen;
}

TEST_F(CredentialsTest, AWebIdentity) {
  std::string seen, seen_by_proxy;
  auto answering = [](std::string& heard) {
    return [&heard](test::FakePeer& peer) {
      heard = peer.request();
      peer.ok(
          "<AssumeRoleWithWebIdentityResponse><Credentials><SessionToken>tok</SessionToken><SecretAccessKey>s"
          "</SecretAccessKey><Expiration>2099-01-01T00:00:00Z</Expiration><AccessKeyId>WEB</AccessKeyId></Credentials>"
          "</AssumeRoleWithWebIdentityResponse>");
    };
  };
  test::FakeHttpServer server(answering(seen)), proxy(answering(seen_by_proxy));
  g_environment["AWS_ENDPOINT_URL_STS"] = "http://127.0.0.1:" + std::to_string(server.port());
  g_environment["AWS_ROLE_ARN"] = "arn:aws:iam::1:role/r";
  g_environment["AWS_WEB_IDENTITY_TOKEN_FILE"] = file("jwt", "j.w.t");
  EXPECT_EQ(found(), "WEB");
  g_environment["AWS_ENDPOINT_URL_STS"] = "http://sts.example";
  g_environment["HTTP_PROXY"] = "http://127.0.0.1:" + std::to_string(proxy.port());
  EXPECT_EQ(found(), "WEB");
  server.stop();
  proxy.stop();
  EXPECT_TRUE(seen.ends_with("RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=kiseki&WebIdentityToken=j.w.t"))
      << seen;
  EXPECT_TRUE(seen_by_proxy.starts_with("POST http://sts.example/ HTTP/1.1\r\n")) << seen_by_proxy;
}

TEST_F(CredentialsTest, AServiceThatHasNone) {
  test::FakeHttpServer server([](test::FakePeer& peer) {
    while (!peer.request().empty()) peer.say("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  });
  g_environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://127.0.0.1:" + std::to_string(server.port());
  EXPECT_EQ(found(), "no credentials for the object store were found");
  EXPECT_FALSE(credentials_of_json("{}"));
  EXPECT_FALSE(credentials_of_json("nonsense"));
  EXPECT_FALSE(credentials_of_json(R"({"AccessKeyId":1,"SecretAccessKey":"s"})"));
}

}  // namespace
}  // namespace kiseki::object::s3
