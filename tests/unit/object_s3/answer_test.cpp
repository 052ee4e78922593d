#include "object/s3/answer.hpp"

#include <gtest/gtest.h>

#include "object/s3/xml.hpp"

namespace kiseki::object::s3 {
namespace {

net::HttpResponse answer(int status, std::string text) {
  net::HttpResponse response;
  response.status = status;
  response.text = std::move(text);
  return response;
}

TEST(Refusal, IsWhatItsCodeSays) {
  auto of = [](int status, const std::string& code) {
    return refusal_of(answer(status, "<?xml version=\"1.0\"?><Error><Code>" + code + "</Code></Error>")).error;
  };
  EXPECT_EQ(of(404, "NoSuchKey"), ObjectErrc::not_found);
  EXPECT_EQ(of(404, "NoSuchBucket"), ObjectErrc::no_bucket);
  EXPECT_EQ(of(403, "SignatureDoesNotMatch"), ObjectErrc::wrong_signature);
  EXPECT_EQ(of(403, "RequestTimeTooSkewed"), ObjectErrc::clock_skew);
  EXPECT_EQ(of(403, "InvalidTokenId"), ObjectErrc::expired_token) << "as MinIO says it";
  EXPECT_EQ(of(400, "RequestTimeout"), ObjectErrc::unavailable);
  EXPECT_EQ(of(503, "SlowDown"), ObjectErrc::throttled);
  EXPECT_EQ(of(403, "Unheard"), ObjectErrc::access_denied);
  EXPECT_EQ(of(500, "InternalError"), ObjectErrc::unavailable);
  EXPECT_EQ(of(418, ""), ObjectErrc::bad_request);
  EXPECT_EQ(refusal_of(answer(429, "")).error, ObjectErrc::throttled);
}

TEST(Refusal, KeepsTheServersWords) {
  auto refusal = refusal_of(answer(301,
                                   "<Error><Code>PermanentRedirect</Code><Message>a &lt;b&gt; &#x41;&amp;</Message>"
                                   "<Region>eu-west-1</Region></Error>"));
  EXPECT_EQ(refusal.error, ObjectErrc::wrong_region);
  EXPECT_EQ(refusal.message, "a <b> A&");
  EXPECT_EQ(refusal.region, "eu-west-1");
}

TEST(Xml, IsReadInOnePass) {
  std::string ampersands(1 << 20, '&');
  EXPECT_EQ(xml_text("<Message>" + ampersands + "</Message>", "Message"), ampersands);
  EXPECT_EQ(xml_text("<Key>a&#x10FFFF;b</Key>", "Key"),
            "a\xF4\x8F\xBF\xBF"
            "b");
}

TEST(Xml, SurvivesWhatIsNone) {
  for (auto text :
       {"", "<", "<>", "<a", "</", "&", "<a>&;</a>", "<a>&#xFFFFFFFF;</a>", "<a/><a//></>", "<!-- <x -->"}) {
    XmlWalk walk(text);
    int steps = 0;
    while (walk.next() != XmlWalk::Step::end && steps < 20) {
      walk.text();
      ++steps;
    }
    EXPECT_LT(steps, 20) << text;
  }
  EXPECT_EQ(xml_text("<a><b/>x<c>y</c></a>", "c"), "y");
  EXPECT_EQ(xml_escaped("a<&>"), "a&lt;&amp;&gt;");
}

TEST(ContentRange, IsReadOrRefused) {
  auto range = content_range("bytes 10-19/443");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->begin, 10u);
  EXPECT_EQ(range->end, 20u);
  EXPECT_EQ(range->total, 443u);
  EXPECT_TRUE(content_range("bytes 0-0/*"));
  for (auto text : {"", "bytes */443", "bytes 5-4/9", "bytes 0-18446744073709551615/1", "0-4/5", "bytes -1-2/3"})
    EXPECT_FALSE(content_range(text)) << text;
}

TEST(Dates, AreSecondsSince1970) {
  EXPECT_EQ(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
  EXPECT_EQ(iso_date("2009-10-12T17:50:30.000Z"), 1255369830);
  EXPECT_FALSE(http_date("yesterday"));
}

}  // namespace
}  // namespace kiseki::object::s3
