#include "meta/format.hpp"

#include <gtest/gtest.h>

namespace kiseki::meta {
namespace {

constexpr auto kUuid = "00000000-1111-2222-3333-444444444444";
const std::string kNonce("\0\1\2\3\4\5\6\7\x8\x9\xa\xb", 12);

TEST(Format, SecretsAsJuiceFsStoresThem) {
  auto stored = encrypt_secret(kUuid, "mysecret", kNonce);
  ASSERT_TRUE(stored);
  EXPECT_EQ(*stored, "AAECAwQFBgcICQoLIAm5Y+n2mGleQriLFU9N9LaSlV/1k/9j");
  EXPECT_EQ(*decrypt_secret(kUuid, *stored), "mysecret");
  EXPECT_EQ(*encrypt_secret("0f6f5f36-6d0c-4d1f-9a51-3d7a9a0c1b2e", "topsecret", kNonce),
            "AAECAwQFBgcICQoLzmBIbsRIPiTnISWKKpBzHFVIqHiaiiVuQQ==");
}

TEST(Format, DamagedSecretsAreErrors) {
  auto stored = *encrypt_secret(kUuid, "mysecret", kNonce);
  EXPECT_FALSE(decrypt_secret("another uuid", stored));
  for (std::size_t i = 0; i < stored.size(); ++i) {
    auto damaged = stored;
    damaged[i] = damaged[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(decrypt_secret(kUuid, damaged)) << i;
    EXPECT_FALSE(decrypt_secret(kUuid, stored.substr(0, i)));
  }
}

TEST(Format, EncryptsAndDecryptsItself) {
  Format f;
  f.name = "vol", f.uuid = kUuid, f.secret_key = "s", f.encrypt_key = "-----BEGIN", f.access_key = "plain";
  auto plain = f;
  ASSERT_TRUE(f.encrypt_secrets());
  EXPECT_TRUE(f.key_encrypted);
  EXPECT_NE(f.secret_key, "s");
  EXPECT_EQ(f.access_key, "plain");
  EXPECT_EQ(f.redacted().secret_key, "removed");
  EXPECT_EQ(f.redacted().session_token, "");
  auto read = Format::parse(f.to_json());
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, f);
  ASSERT_TRUE(read->decrypt_secrets());
  EXPECT_EQ(*read, plain);
  auto removed = f.redacted();
  ASSERT_FALSE(removed.decrypt_secrets());
  f.encrypt_algo = "sm4gcm";
  EXPECT_NE(f.decrypt_secrets().error().message.find("sm4gcm"), std::string::npos);
}

TEST(Format, KeepsWhatItDoesNotKnow) {
  auto f = Format::parse(R"({"Later":{"a":[1,"x"]},"Name":"vol","UUID":"u","Tiers":null,"TrashDays":0,"Zone":7})");
  ASSERT_TRUE(f);
  EXPECT_TRUE(f->tiers.empty());
  EXPECT_FALSE(f->has_trash());
  EXPECT_FALSE(f->dir_stats) << "left out means false";
  auto text = f->to_json();
  EXPECT_NE(text.find("\"Later\": {\"a\":[1,\"x\"]},\n\"Zone\": 7\n}"), std::string::npos) << text;
  EXPECT_EQ(*Format::parse(text), *f);
}

TEST(Format, EscapesAsJuiceFs) {
  Format f;
  f.name = "vol", f.uuid = "u", f.bucket = "http://h/?a&b<c>\"\n\xc3\xa9";
  EXPECT_NE(f.to_json().find("\"Bucket\": \"http://h/?a\\u0026b\\u003cc\\u003e\\\"\\n\xc3\xa9\""), std::string::npos);
  EXPECT_EQ(Format::parse(f.to_json())->bucket, f.bucket);
}

TEST(Format, RefusesNonsense) {
  for (auto* text :
       {"", "{", "[]", "7", "{}", R"({"Name":"a"})", R"({"Name":7,"UUID":"u"})",
        R"({"Name":"vol","UUID":"u","BlockSize":"4M"})", R"({"Name":"vol","UUID":"u","BlockSize":-1})",
        R"({"Name":"vol","UUID":"u","Shards":1e99})", R"({"Name":"vol","UUID":"u","Tiers":[1]})",
        R"({"Name":"vol","UUID":"u","Tiers":{"0":7}})", R"({"Name":"vol","UUID":"u","Tiers":{"0":{"ID":"x"}}})"})
    EXPECT_FALSE(Format::parse(text)) << text;
}

TEST(Format, Versions) {
  EXPECT_EQ(compare_versions("1.4.1", "1.1.0-A"), 1);
  EXPECT_EQ(compare_versions("1.4.1", "1.4.1+2026-07-30.abc"), 0);
  EXPECT_EQ(compare_versions("1.4.1-rc1", "1.4.1"), -1);
  EXPECT_EQ(compare_versions("1.4.1-A", "1.4.1-B"), -1);
  EXPECT_EQ(compare_versions("1.10.0", "1.9.9"), 1);
  for (auto* bad : {"", "1", "1.2", "1.2.x", "1.2.3.4", "a.b.c"}) EXPECT_EQ(compare_versions("1.4.1", bad), 2) << bad;

  Format f;
  EXPECT_TRUE(f.check_version());
  f.min_client_version = "1.4.1";
  EXPECT_TRUE(f.check_version());
  f.min_client_version = "1.5.0-A";
  EXPECT_FALSE(f.check_version());
  f.min_client_version = "", f.max_client_version = "1.4.0";
  EXPECT_FALSE(f.check_version());
  f.max_client_version = "1.4.1", f.meta_version = 2;
  EXPECT_FALSE(f.check_version());
}

TEST(Format, NamesAndOptions) {
  for (auto* good : {"abc", "a-1", "0aa", "a23456789-123456789-123456789-123456789-123456789-123456789-12"})
    EXPECT_TRUE(valid_volume_name(good)) << good;
  for (auto* bad : {"", "ab", "-ab", "ab-", "Abc", "a_b", "a.b",
                    "a23456789-123456789-123456789-123456789-123456789-123456789-1234"})
    EXPECT_FALSE(valid_volume_name(bad)) << bad;
  Format f;
  f.name = "vol", f.uuid = "u";
  EXPECT_TRUE(f.check_options());
  for (auto kib : {0u, 32u, 100u, 32768u}) {
    auto g = f;
    g.block_kib = kib;
    EXPECT_FALSE(g.check_options()) << kib;
  }
  f.compression = "gzip";
  EXPECT_NE(f.check_options().error().message.find("gzip"), std::string::npos);
}

}  // namespace
}  // namespace kiseki::meta
