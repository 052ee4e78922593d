#include <gtest/gtest.h>

#include "net/http_message.hpp"
#include "net/text_coding.hpp"

namespace kiseki::net {
namespace {

TEST(HttpUrl, IsTakenApart) {
  auto url = HttpUrl::parse("https://me:pw@Host.example:8443/a/b?c#d");
  ASSERT_TRUE(url);
  EXPECT_TRUE(url->endpoint.tls);
  EXPECT_EQ(url->endpoint.host, "Host.example");
  EXPECT_EQ(url->endpoint.port, 8443);
  EXPECT_EQ(url->user_info, "me:pw");
  EXPECT_EQ(url->target, "/a/b?c");
  EXPECT_EQ(HttpUrl::parse("http://[::1]:80/")->endpoint.authority(), "[::1]");
  EXPECT_EQ(HttpUrl::parse("http://h?x")->target, "/?x");
  for (auto bad : {"", "h", "ftp://h", "http://", "http://h:0", "http://h:65536", "http://h:x", "http://[::1",
                   "http://[::1]x", "http://a b", "http://a\r\nb"})
    EXPECT_FALSE(HttpUrl::parse(bad)) << bad;
}

TEST(TextCoding, EscapesAsSigV4Wants) {
  EXPECT_EQ(percent_encoded("a b/c~+é"), "a%20b%2Fc~%2B%C3%A9");
  EXPECT_EQ(percent_encoded("a/b", true), "a/b");
  EXPECT_EQ(percent_decoded("a%20b%2fc%zz%4"), "a b/c%zz%4");
  EXPECT_EQ(to_base64("user:p@ss"), "dXNlcjpwQHNz");
}

}  // namespace
}  // namespace kiseki::net
