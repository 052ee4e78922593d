// Vectors: AWS documentation, "Signature calculations for the Authorization header" (Amazon S3 API reference) and the
// Signature Version 4 test suite; their keys are examples.
#include "object/s3/sigv4.hpp"

#include <gtest/gtest.h>

namespace kiseki::object::s3 {
namespace {

constexpr std::string_view kEmptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

Credentials example(std::string secret) {
  Credentials who;
  who.access_key = "AKIAIOSFODNN7EXAMPLE";
  who.secret_key = std::move(secret);
  return who;
}
const Credentials kS3User = example("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");

std::string signature(std::string_view authorization) {
  return std::string(authorization.substr(authorization.rfind("Signature=") + 10));
}

class S3Examples : public ::testing::Test {
 protected:
  ToSign of(std::string_view method, std::string_view path, std::string_view query) {
    ToSign what;
    what.method = method;
    what.path = path;
    what.query = query;
    what.payload_hash = kEmptyHash;
    what.fields = {{"host", "examplebucket.s3.amazonaws.com"},
                   {"x-amz-content-sha256", kEmptyHash},
                   {"x-amz-date", "20130524T000000Z"}};
    return what;
  }
  std::string sign(const ToSign& what) { return signer.authorization(what, kS3User, "20130524T000000Z"); }
  Signer signer{"us-east-1", "s3"};
};

TEST_F(S3Examples, GetObject) {
  auto what = of("GET", "/test.txt", "");
  what.fields.insert(what.fields.begin() + 1, {"range", "bytes=0-9"});
  EXPECT_EQ(sign(what),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST_F(S3Examples, PutObject) {
  constexpr std::string_view kHash = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
  EXPECT_EQ(sha256_hex("Welcome to Amazon S3."), kHash);
  auto what = of("PUT", "/test%24file.text", "");
  what.payload_hash = kHash;
  what.fields = {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                 {"host", "examplebucket.s3.amazonaws.com"},
                 {"x-amz-content-sha256", kHash},
                 {"x-amz-date", "20130524T000000Z"},
                 {"x-amz-storage-class", "REDUCED_REDUNDANCY"}};
  EXPECT_EQ(signature(sign(what)), "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

TEST_F(S3Examples, GetBucketLifecycle) {
  EXPECT_EQ(signature(sign(of("GET", "/", "lifecycle="))),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

TEST_F(S3Examples, ListObjects) {
  EXPECT_EQ(signature(sign(of("GET", "/", "max-keys=2&prefix=J"))),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST_F(S3Examples, TheKeyOfADayIsNotKeptForAnotherDayOrSecret) {
  auto what = of("GET", "/", "lifecycle=");
  auto first = sign(what);
  EXPECT_NE(signature(signer.authorization(what, kS3User, "20130525T000000Z")), signature(first));
  EXPECT_NE(signature(signer.authorization(what, example("other"), "20130524T000000Z")), signature(first));
  EXPECT_EQ(sign(what), first);
}

TEST(SigV4TestSuite, GetVanilla) {
  Credentials who;
  who.access_key = "AKIDEXAMPLE";
  who.secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
  Signer signer("us-east-1", "service");
  ToSign what;
  what.method = "GET";
  what.path = "/";
  what.payload_hash = kEmptyHash;
  what.fields = {{"host", "example.amazonaws.com"}, {"x-amz-date", "20150830T123600Z"}};
  EXPECT_EQ(signature(signer.authorization(what, who, "20150830T123600Z")),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
  what.query = "Param1=value1&Param2=value2";  // get-vanilla-query-order-key-case
  EXPECT_EQ(signature(signer.authorization(what, who, "20150830T123600Z")),
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500");
}

TEST(AmzDate, IsUtcWithoutSeparators) { EXPECT_EQ(amz_date(1369353600), "20130524T000000Z"); }

}  // namespace
}  // namespace kiseki::object::s3
