#include <algorithm>

#include "core/log.hpp"
#include "core/numbers.hpp"
#include "net/text_coding.hpp"
#include "object/s3/call.hpp"
#include "object/s3/xml.hpp"

// ListObjectsV2 and the making of buckets.

namespace kiseki::object::s3 {

namespace {

constexpr std::size_t kMostPerPage = 1000;
constexpr std::size_t kMostListText = 8 << 20;
constexpr int kMostPages = 1000;  // of nothing new, before a server is not believed any more

struct Page {
  std::vector<ObjectInfo> objects;
  bool truncated = false;
  std::string token;
};

std::string key_of(std::string encoded) {
  std::ranges::replace(encoded, '+', ' ');  // a plus of the key comes as %2B
  return net::percent_decoded(encoded);
}

Page parse_page(std::string_view xml) {
  Page page;
  ObjectInfo object;
  bool in_contents = false, in_prefixes = false;
  XmlWalk walk(xml);
  for (auto step = walk.next(); step != XmlWalk::Step::end; step = walk.next()) {
    auto name = walk.name();
    bool open = step == XmlWalk::Step::open;
    if (name == "Contents" || name == "CommonPrefixes") {
      (name == "Contents" ? in_contents : in_prefixes) = open;
      if (!open) page.objects.push_back(std::exchange(object, {}));
    } else if (open) {
      continue;
    } else if (in_contents && name == "Key") {
      object.key = key_of(walk.text());
    } else if (in_contents && name == "Size") {
      object.size = whole_number<std::uint64_t>(walk.text()).value_or(0);
    } else if (in_contents && name == "LastModified") {
      object.modified = iso_date(walk.text()).value_or(0);
    } else if (in_prefixes && name == "Prefix") {
      object.key = key_of(walk.text());
      object.is_prefix = true;
    } else if (!in_contents && !in_prefixes && name == "IsTruncated") {
      page.truncated = walk.text() == "true";
    } else if (!in_contents && !in_prefixes && name == "NextContinuationToken") {
      page.token = walk.text();
    }
  }
  std::ranges::sort(page.objects, {}, &ObjectInfo::key);  // prefixes come apart from keys
  return page;
}

}  // namespace

Async<ObjectPage> S3Store::list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) {
  limit = std::clamp<std::size_t>(limit, 1, kMostPerPage);
  std::string token;
  for (int pages = 0; pages < kMostPages; ++pages) {
    Call call("GET");
    if (!token.empty()) call.query = "continuation-token=" + net::percent_encoded(token) + "&";
    call.query +=
        fmt::format("delimiter={}&encoding-type=url&list-type=2&max-keys={}&prefix={}&start-after={}",
                    net::percent_encoded(delimiter), limit, net::percent_encoded(prefix), net::percent_encoded(after));
    call.text_limit = kMostListText;
    call.limit = options_.get_timeout;
    CO_TRY(auto response, co_await ask(std::move(call)));
    auto page = parse_page(response.text);
    // A prefix we have already told may be rolled up again out of the keys below it.
    std::erase_if(page.objects, [&](const ObjectInfo& object) { return !after.empty() && object.key <= after; });
    token = std::move(page.token);
    bool more = page.truncated && !token.empty();
    if (page.objects.empty() && more) continue;
    co_return ObjectPage{std::move(page.objects), more};
  }
  log::error("s3.endless_list", {{"prefix", prefix}, {"after", after}});
  co_return ObjectErrc::unavailable;
}

Async<void> S3Store::create() {
  auto region = reach()->signer.region();
  std::string body;
  if (region != "us-east-1")
    body = "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>" +
           xml_escaped(region) + "</LocationConstraint></CreateBucketConfiguration>";
  Call call("PUT");
  call.body.push_back(std::as_bytes(std::span(body)));
  call.limit = options_.put_timeout;
  auto made = co_await ask(std::move(call));
  if (made || made.error() == ObjectErrc::already_there) co_return Result<void>{};
  co_return made.error();
}

}  // namespace kiseki::object::s3
