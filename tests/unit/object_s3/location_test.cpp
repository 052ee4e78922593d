#include "object/s3/location.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace kiseki::object::s3 {
namespace {

const char* nothing(const char*) { return nullptr; }
const char* frankfurt(const char* name) { return std::strcmp(name, "AWS_REGION") == 0 ? "eu-central-1" : nullptr; }
const char* vhost(const char* name) { return std::strcmp(name, "JFS_S3_VHOST_STYLE") == 0 ? "1" : nullptr; }

struct Case {
  const char *url, *shown, *region;
};

class Urls : public ::testing::TestWithParam<Case> {};

TEST_P(Urls, AreUnderstood) {
  auto parsed = parse_location("s3", GetParam().url, nothing);
  ASSERT_TRUE(parsed.location) << parsed.error;
  EXPECT_EQ(parsed.location->shown(), GetParam().shown);
  EXPECT_EQ(parsed.location->region, GetParam().region);
}

INSTANTIATE_TEST_SUITE_P(
    Forms, Urls,
    ::testing::Values(
        Case{"https://mine.s3.eu-west-1.amazonaws.com", "https://mine.s3.eu-west-1.amazonaws.com/", "eu-west-1"},
        Case{"https://mine.s3-eu-west-1.amazonaws.com/", "https://mine.s3.eu-west-1.amazonaws.com/", "eu-west-1"},
        Case{"mine.s3.amazonaws.com", "https://mine.s3.us-east-1.amazonaws.com/", "us-east-1"},
        Case{"https://mine.s3-external-1.amazonaws.com", "https://mine.s3.us-east-1.amazonaws.com/", "us-east-1"},
        Case{"https://mine.s3.dualstack.eu-west-1.amazonaws.com", "https://mine.s3.eu-west-1.amazonaws.com/",
             "eu-west-1"},
        Case{"https://s3.eu-west-1.amazonaws.com/mine", "https://mine.s3.eu-west-1.amazonaws.com/", "eu-west-1"},
        Case{"https://s3.cn-north-1.amazonaws.com.cn/mine", "https://mine.s3.cn-north-1.amazonaws.com.cn/",
             "cn-north-1"},
        Case{"https://my.own.s3.eu-west-1.amazonaws.com", "https://s3.eu-west-1.amazonaws.com/my.own/", "eu-west-1"},
        Case{"https://mine.bucket.vpce-1a2b.s3.us-west-2.vpce.amazonaws.com",
             "https://mine.bucket.vpce-1a2b.s3.us-west-2.vpce.amazonaws.com/", "us-west-2"},
        Case{"https://mine", "https://mine.s3.us-east-1.amazonaws.com/", "us-east-1"},
        Case{"mine", "https://mine.s3.us-east-1.amazonaws.com/", "us-east-1"},
        Case{"http://127.0.0.1:9000/mine", "http://127.0.0.1:9000/mine/", "us-east-1"},
        Case{"127.0.0.1:9000/mine/", "http://127.0.0.1:9000/mine/", "us-east-1"},
        Case{"https://store.example.org/mine?region=far", "https://store.example.org/mine/", "far"},
        Case{"https://mine.store.example.org:8443", "https://store.example.org:8443/mine/", "us-east-1"},
        Case{"https://mine.ns.compat.objectstorage.eu-frankfurt-1.oraclecloud.com",
             "https://ns.compat.objectstorage.eu-frankfurt-1.oraclecloud.com/mine/", "eu-frankfurt-1"},
        Case{"https://mine.s3.gra.io.cloud.ovh.net", "https://s3.gra.io.cloud.ovh.net/mine/", "gra"},
        Case{"https://s3.sbg.cloud.ovh.net/mine", "https://s3.sbg.cloud.ovh.net/mine/", "sbg"},
        Case{"http://[::1]:9000/mine", "http://[::1]:9000/mine/", "us-east-1"}));

TEST(Location, WithoutABucketIsRefused) {
  for (auto url : {"", "http://", "http://localhost", "http://localhost:9000/", "http://127.0.0.1:9000", "ftp://a/b",
                   "http://host/a b", "https://s3.eu-west-1.amazonaws.com", "http://host:99999/x", "https://a\nb"}) {
    auto parsed = parse_location("s3", url, nothing);
    bool bare = std::string(url) == "http://localhost";  // a bucket of that name at Amazon
    EXPECT_EQ(parsed.location.has_value(), bare) << url;
  }
  EXPECT_FALSE(parse_location("minio", "http://mine.host:9000", nothing).location);
}

TEST(Location, TakesRegionAndStyleFromTheEnvironment) {
  EXPECT_EQ(parse_location("s3", "http://host.org/mine", frankfurt).location->region, "eu-central-1");
  EXPECT_EQ(parse_location("s3", "mine", frankfurt).location->shown(), "https://mine.s3.eu-central-1.amazonaws.com/");
  EXPECT_EQ(parse_location("s3", "http://host.org/mine", vhost).location->shown(), "http://mine.host.org/");
  EXPECT_EQ(parse_location("s3", "http://mine.host.org", vhost).location->shown(), "http://mine.host.org/");
}

TEST(Location, ReadsItsOptions) {
  auto url =
      "https://host.org/"
      "mine?disable-checksum=true&tls-insecure-skip-verify=true&ca-certs=%2Fa.pem&ssl-cert=c&ssl-key=k";
  auto location = parse_location("s3", url, nothing).location;
  ASSERT_TRUE(location);
  EXPECT_FALSE(location->checksums);
  EXPECT_TRUE(location->tls.skip_verification);
  EXPECT_EQ(location->tls.ca_file, "/a.pem");
  EXPECT_EQ(location->tls.certificate, "c");
  EXPECT_EQ(location->tls.key, "k");
  EXPECT_FALSE(location->go_ahead);
  EXPECT_TRUE(parse_location("s3", "http://h.org/mine?enable-100-continue=true", nothing).location->go_ahead);
  auto both = "http://h.org/mine?enable-100-continue=true&disable-100-continue=true";
  EXPECT_FALSE(parse_location("s3", both, nothing).location->go_ahead);
  EXPECT_EQ(parse_location("minio", "http://h:9000/minio/mine?region=r", nothing).location->shown(),
            "http://h:9000/mine/");
}

TEST(Location, MovesToAnotherRegion) {
  auto location = *parse_location("s3", "mine", nothing).location;
  move_to_region(location, "ap-south-1");
  EXPECT_EQ(location.shown(), "https://mine.s3.ap-south-1.amazonaws.com/");
}

}  // namespace
}  // namespace kiseki::object::s3
