// The store against a server that says what the test wants.
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <ctime>
#include <vector>

#include "core/async.hpp"
#include "object/crc32c.hpp"
#include "object/s3/s3_store.hpp"
#include "support/fake_http_server.hpp"
#include "support/run.hpp"

namespace kiseki::object::s3 {
namespace {

Credentials keys(std::string access, std::string token = "") {
  Credentials out;
  out.access_key = std::move(access);
  out.secret_key = "secret";
  out.session_token = std::move(token);
  return out;
}

std::string error_text(std::string_view code, std::string_view more = "") {
  return "<Error><Code>" + std::string(code) + "</Code>" + std::string(more) + "</Error>";
}

std::string refusal(std::string_view status, std::string_view code, std::string_view fields = "") {
  auto text = error_text(code);
  return "HTTP/1.1 " + std::string(status) + "\r\nContent-Length: " + std::to_string(text.size()) + "\r\n" +
         std::string(fields) + "\r\n" + text;
}

std::size_t bytes_of(const Result<std::size_t>& got) { return got ? *got : 0; }

class S3StoreTest : public ::testing::Test {
 protected:
  /// A store on a server that gives these answers in order, then the last one again and again. Requests count anew.
  /// The first answer waits until `at_once` requests are there.
  void serve(std::vector<std::string> answers, std::size_t at_once = 1) {
    server_.reset();
    requests_.clear();
    server_ =
        std::make_unique<test::FakeHttpServer>([this, answers = std::move(answers), at_once](test::FakePeer& peer) {
          for (auto request = peer.request(); !request.empty(); request = peer.request()) {
            std::unique_lock lock(mutex_);
            auto number = requests_.size();
            requests_.push_back(std::move(request));
            arrived_.notify_all();
            arrived_.wait_for(lock, std::chrono::seconds(10), [&] { return requests_.size() >= at_once; });
            peer.say(answers[std::min(number, answers.size() - 1)]);
          }
        });
    location_.endpoint = {false, "127.0.0.1", server_->port()};
    location_.bucket = "bucket";
    location_.region = "us-east-1";
    store_ = std::make_shared<S3Store>(location_, source_, options_, pool_);
  }
  /// A store of Amazon's, whose hosts are behind a proxy: the server of `serve`.
  void serve_amazon(std::vector<std::string> answers, std::size_t at_once = 1) {
    static std::string proxy;
    options_.environment = [](const char* name) {
      return std::string_view(name) == "http_proxy" ? proxy.c_str() : nullptr;
    };
    serve(std::move(answers), at_once);
    proxy = "http://127.0.0.1:" + std::to_string(server_->port());
    auto mine = parse_location("s3", "http://mine.s3.us-east-1.amazonaws.com",
                               [](const char*) -> const char* { return nullptr; });
    store_ = std::make_shared<S3Store>(*mine.location, source_, options_, pool_);
  }
  Result<std::size_t> get(std::span<char> into, std::uint64_t offset = 0, std::string key = "vol/chunks/0/0/1_0_5") {
    Result<std::size_t> out = posix(EIO);
    test::run([&]() -> asio::awaitable<void> {
      out = co_await store_->get(std::move(key), offset, std::as_writable_bytes(into));
    });
    return out;
  }
  std::error_code put(std::string text) {
    std::error_code out;
    test::run([&]() -> asio::awaitable<void> {
      Body body;
      body.pieces.push_back(std::as_bytes(std::span(text)));
      auto done = co_await store_->put("vol/chunks/0/0/1_0_5", std::move(body));
      if (!done) out = done.error();
    });
    return out;
  }
  void expect_two_puts() {
    test::run([&]() -> asio::awaitable<void> {
      std::vector<Async<void>> puts;
      for (auto key : {"a", "b"}) puts.push_back(store_->put(key, Body()));
      CO_ASSERT_OK(co_await fan_out(std::move(puts), 2));
    });
    EXPECT_EQ(requests(), 4u);
  }
  std::string request(std::size_t index) {
    std::lock_guard lock(mutex_);
    return index < requests_.size() ? requests_[index] : "";
  }
  std::size_t requests() {
    std::lock_guard lock(mutex_);
    return requests_.size();
  }

  std::shared_ptr<CredentialSource> source_ = std::make_shared<FixedCredentials>(keys("KEY"));
  Location location_;
  S3Store::Options options_;
  BlockingPool pool_{"name-lookup", 1};
  std::mutex mutex_;  // guards requests_
  std::condition_variable arrived_;
  std::vector<std::string> requests_;
  std::unique_ptr<test::FakeHttpServer> server_;
  std::shared_ptr<S3Store> store_;
};

const std::string kStored = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

TEST_F(S3StoreTest, APutCarriesItsChecksumClassAndTag) {
  options_.storage_class = "STANDARD_IA";
  options_.tag = "team=blue";
  serve({kStored});
  EXPECT_FALSE(put("hello"));
  auto sent = request(0);
  EXPECT_TRUE(sent.starts_with("PUT /bucket/vol/chunks/0/0/1_0_5 HTTP/1.1\r\n")) << sent;
  EXPECT_TRUE(sent.ends_with("\r\n\r\nhello"));
  for (auto line :
       {"x-amz-meta-crc32c: 2591144780\r\n", "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n",
        "content-type: application/octet-stream\r\n", "x-amz-storage-class: STANDARD_IA\r\n",
        "x-amz-tagging: team=blue\r\n", "Content-Length: 5\r\n",
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-meta-crc32c;x-amz-storage-class;x-amz-tagging,"})
    EXPECT_NE(sent.find(line), std::string::npos) << line << "\n" << sent;
  EXPECT_EQ(sent.find("secret"), std::string::npos);
}

TEST_F(S3StoreTest, LargeBodiesWaitForAGoAheadWhereThatIsWanted) {
  const std::string large(1 << 20, 'x'), expect = "Expect: 100-continue\r\n";
  options_.timeouts.go_ahead = std::chrono::milliseconds(10);  // this server does not know the word
  for (bool wanted : {false, true}) {
    location_.go_ahead = wanted;
    serve({kStored});
    EXPECT_FALSE(put(large));
    EXPECT_FALSE(put("small"));
    EXPECT_EQ(request(0).find(expect) != std::string::npos, wanted);
    EXPECT_TRUE(request(0).ends_with("\r\n\r\n" + large));
    EXPECT_EQ(request(1).find(expect), std::string::npos);
  }
}

TEST_F(S3StoreTest, AnonymousSignsNothing) {
  Credentials nobody;
  nobody.anonymous = true;
  source_ = std::make_shared<FixedCredentials>(nobody);
  serve({kStored});
  EXPECT_FALSE(put("x"));
  EXPECT_EQ(request(0).find("Authorization"), std::string::npos);
}

TEST_F(S3StoreTest, AWholeObjectMustMatchItsChecksum) {
  // SEMANTICS: and in S3 buckets when a whole object is read (CRC-32C)
  auto object = [](std::string crc, std::string range) {
    return "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nContent-Range: bytes " + range +
           "\r\nx-amz-meta-crc32c: " + crc + "\r\n\r\nhello";
  };
  char into[5];
  serve({object("2591144780", "0-4/5"), object("2591144781", "0-4/5"), object("2591144781", "0-4/9"),
         object("not a number", "0-4/5"), object("2591144780", "1-5/6"), object("2591144780", "0-5/6")});
  EXPECT_EQ(bytes_of(get(into)), 5u);
  EXPECT_EQ(get(into).error(), ObjectErrc::corrupt) << "a bit has changed";
  EXPECT_EQ(bytes_of(get(into)), 5u) << "a part of an object is not checked";
  EXPECT_EQ(bytes_of(get(into)), 5u);
  EXPECT_EQ(get(into).error(), ObjectErrc::corrupt) << "another range than we asked for";
  EXPECT_EQ(get(into).error(), ObjectErrc::corrupt) << "fewer bytes than it says";
}

TEST_F(S3StoreTest, AllOfABlockIsAskedForWithoutARange) {
  const std::string whole = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx-amz-meta-crc32c: 2591144780\r\n\r\nhello";
  serve({whole});
  char into[8];
  EXPECT_EQ(bytes_of(get(std::span(into).first(5))), 5u);
  EXPECT_EQ(bytes_of(get(into)), 5u) << "as for an encoded block, whose length the name does not say";
  EXPECT_EQ(bytes_of(get(std::span(into).first(5), 0, "chunks/0/0/1_0_5")), 5u) << "a bucket without a prefix";
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(request(i).find("range: "), std::string::npos) << request(i);

  EXPECT_EQ(get(std::span(into).first(4)).error(), ObjectErrc::corrupt) << "more than asked for";
  EXPECT_NE(request(3).find("range: bytes=0-3\r\n"), std::string::npos);
  EXPECT_EQ(bytes_of(get(std::span(into).first(5), 0, "vol/meta/dump")), 5u);
  EXPECT_NE(request(4).find("range: bytes=0-4\r\n"), std::string::npos) << "no block";
}

TEST_F(S3StoreTest, ABlockLongerThanItsNameSaysIsCorrupt) {
  serve({"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello!", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"});
  char into[5];
  EXPECT_EQ(get(into).error(), ObjectErrc::corrupt);
  EXPECT_EQ(bytes_of(get(into)), 5u) << "the next answer is not mixed with the rest of that one";
}

TEST_F(S3StoreTest, AServerThatIgnoresTheRangeIsNotBelieved) {
  serve({"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"});
  char into[5];
  EXPECT_EQ(bytes_of(get(into)), 5u);
  EXPECT_EQ(get(into, 2).error(), ObjectErrc::corrupt);
}

std::string clock_refusal(std::time_t theirs) {
  char date[64];
  std::strftime(date, sizeof date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", std::gmtime(&theirs));
  return refusal("403 Forbidden", "RequestTimeTooSkewed", date);
}

TEST_F(S3StoreTest, AWrongClockIsMadeUpForOnce) {
  std::time_t theirs = std::time(nullptr) + 86400;
  serve({clock_refusal(theirs), kStored});
  EXPECT_FALSE(put("x"));
  EXPECT_FALSE(put("x"));
  EXPECT_EQ(requests(), 3u) << "the second put knows already";
  EXPECT_NE(request(1).find("x-amz-date: " + amz_date(theirs).substr(0, 8)), std::string::npos) << request(1);
}

TEST_F(S3StoreTest, AWrongClockFailsNoneOfThoseUnderWay) {
  auto refused = clock_refusal(std::time(nullptr) + 86400);
  serve({refused, refused, kStored}, 2);
  expect_two_puts();
}

TEST_F(S3StoreTest, ABucketIsFollowedToItsRegion) {
  const auto moved = refusal("301 Moved Permanently", "PermanentRedirect", "x-amz-bucket-region: eu-west-1\r\n");
  serve_amazon({moved, kStored});
  EXPECT_FALSE(put("x"));
  EXPECT_TRUE(request(0).starts_with("PUT http://mine.s3.us-east-1.amazonaws.com/vol/chunks/0/0/1_0_5 HTTP/1.1\r\n"));
  EXPECT_TRUE(request(1).starts_with("PUT http://mine.s3.eu-west-1.amazonaws.com/vol/chunks/0/0/1_0_5 HTTP/1.1\r\n"));
  EXPECT_NE(request(1).find("/eu-west-1/s3/aws4_request"), std::string::npos) << request(1);
  EXPECT_FALSE(put("x"));
  EXPECT_EQ(requests(), 3u) << "the second put knows already";
  serve_amazon({moved, moved, kStored}, 2);
  expect_two_puts();
}

TEST_F(S3StoreTest, ExpiredCredentialsAreFetchedAnew) {
  class Rotating final : public CredentialSource {
   public:
    CredentialsPtr ready() override { return now_; }
    Async<CredentialsPtr> fetch() override {
      now_ = std::make_shared<const Credentials>(keys("KEY" + std::to_string(++fetched_), "token"));
      co_return now_;
    }
    void reject(const CredentialsPtr& which) override {
      if (now_ == which) now_ = nullptr;
    }

   private:
    CredentialsPtr now_;
    int fetched_ = 0;
  };
  source_ = std::make_shared<Rotating>();
  serve({refusal("400 Bad Request", "ExpiredToken"), kStored});
  EXPECT_FALSE(put("x"));
  EXPECT_NE(request(0).find("Credential=KEY1/"), std::string::npos);
  EXPECT_NE(request(1).find("Credential=KEY2/"), std::string::npos);
  EXPECT_NE(request(1).find("x-amz-security-token: token\r\n"), std::string::npos);
}

TEST_F(S3StoreTest, FixedCredentialsThatHaveExpiredAreAnError) {
  serve({refusal("400 Bad Request", "ExpiredToken")});
  EXPECT_EQ(put("x"), ObjectErrc::expired_token);
  EXPECT_EQ(requests(), 1u);
}

TEST_F(S3StoreTest, RetryAfterIsHonouredByAllRequests) {
  serve({refusal("503 Slow Down", "SlowDown", "Retry-After: 1\r\n"), kStored});
  EXPECT_EQ(put("x"), ObjectErrc::throttled);
  auto begun = std::chrono::steady_clock::now();
  EXPECT_FALSE(put("x"));
  EXPECT_GE(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(900));
}

TEST_F(S3StoreTest, ManyAreRemovedWithOneRequestWhereTheServerKnowsIt) {
  std::vector<ObjectKey> keys{"a", "b<", "c"};
  auto remove_all = [&](std::error_code expected) {
    test::run([&]() -> asio::awaitable<void> {
      auto done = co_await store_->remove_all(keys);
      EXPECT_EQ(done ? std::error_code() : done.error(), expected);
    });
  };
  auto answer = [](std::string text) {
    text = "<DeleteResult>" + text + "</DeleteResult>";
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text;
  };
  serve({answer(""), answer("<Error><Key>a</Key><Code>NoSuchKey</Code></Error>"),
         answer("<Error><Key>a</Key><Code>AccessDenied</Code></Error>")});
  remove_all({});
  EXPECT_TRUE(request(0).starts_with("POST /bucket/?delete= HTTP/1.1\r\n")) << request(0);
  EXPECT_NE(request(0).find("<Object><Key>b&lt;</Key></Object>"), std::string::npos);
  EXPECT_NE(request(0).find("content-md5: "), std::string::npos);
  remove_all({});
  remove_all(ObjectErrc::access_denied);
  serve({refusal("501 Not Implemented", "NotImplemented"), "HTTP/1.1 204 No Content\r\n\r\n"});
  remove_all({});
  remove_all({});
  EXPECT_EQ(requests(), 7u) << "asked once, then one by one";
  EXPECT_TRUE(request(6).starts_with("DELETE /bucket/c HTTP/1.1\r\n"));
}

TEST_F(S3StoreTest, ALargePutThatFailsTakesItsPartsAway) {
  const std::string piece(4 << 20, 'x');
  auto put_large = [&] {
    std::error_code error;
    test::run([&]() -> asio::awaitable<void> {
      Body body;  // five parts
      for (int i = 0; i < 17; ++i) body.pieces.push_back(std::as_bytes(std::span(piece)));
      auto done = co_await store_->put("meta/dump.gz", std::move(body));
      if (!done) error = done.error();
    });
    return error;
  };
  const std::string begun = "<InitiateMultipartUploadResult><UploadId>u/1</UploadId></InitiateMultipartUploadResult>";
  auto ok = [](std::string text) {
    return "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text;
  };
  serve({ok(begun), ok(""), ok(""), ok(""), ok(""), ok(""), ok("<Done/>")});
  EXPECT_FALSE(put_large());
  EXPECT_TRUE(request(0).starts_with("POST /bucket/meta/dump.gz?uploads= HTTP/1.1\r\n"));
  EXPECT_NE(request(0).find("content-type: application/gzip\r\n"), std::string::npos);
  EXPECT_NE(request(0).find("x-amz-meta-crc32c: "), std::string::npos);
  EXPECT_TRUE(request(6).starts_with("POST /bucket/meta/dump.gz?uploadId=u%2F1 HTTP/1.1\r\n"));
  EXPECT_NE(request(6).find("<PartNumber>5</PartNumber><ETag>&quot;e&quot;</ETag>"), std::string::npos) << request(6);

  serve({ok(begun), ok(""), ok(""), ok(""), ok(""), ok(""), ok(error_text("InternalError")), kStored});
  EXPECT_EQ(put_large(), ObjectErrc::unavailable) << "200 first, and then an error";
  EXPECT_TRUE(request(7).starts_with("DELETE /bucket/meta/dump.gz?uploadId=u%2F1 HTTP/1.1\r\n")) << request(7);

  serve({ok(begun), refusal("500 Oops", "InternalError")});
  EXPECT_EQ(put_large(), ObjectErrc::unavailable);
  auto given_up = [this] {  // what was under way with it may be heard later
    std::lock_guard lock(mutex_);
    return std::ranges::any_of(
        requests_, [](const auto& each) { return each.starts_with("DELETE /bucket/meta/dump.gz?uploadId=u%2F1 "); });
  };
  EXPECT_TRUE(given_up());
}

TEST_F(S3StoreTest, AListThatRepeatsForEverEnds) {
  std::string page =
      "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
      "<Contents><Key>a</Key><Size>1</Size></Contents></ListBucketResult>";
  serve({"HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(page.size()) + "\r\n\r\n" + page});
  test::run([&]() -> asio::awaitable<void> {
    auto first = co_await store_->list("", "", 10, "");
    CO_ASSERT_OK(first);
    EXPECT_TRUE(first->more);
    auto again = co_await store_->list("", "a", 10, "");
    EXPECT_FALSE(again);
  });
}

}  // namespace
}  // namespace kiseki::object::s3
