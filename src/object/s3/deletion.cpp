#include <openssl/evp.h>

#include <algorithm>

#include "core/log.hpp"
#include "net/text_coding.hpp"
#include "object/s3/call.hpp"
#include "object/s3/xml.hpp"

// Deletions: one object, or many with one request (DeleteObjects).

namespace kiseki::object::s3 {

namespace {

constexpr std::size_t kMostPerRequest = 1000;

/// What the API asks for with this request alone: MD5 of the body, in base64.
std::string content_md5(std::string_view text) {
  std::string digest(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(digest.data()), &size, EVP_md5(), nullptr);
  return net::to_base64(std::string_view(digest).substr(0, size));
}

/// The last error among the answers for each key; an absent object is none.
std::error_code failure_in(std::string_view xml) {
  std::error_code last;
  std::string code, key;
  XmlWalk walk(xml);
  for (auto step = walk.next(); step != XmlWalk::Step::end; step = walk.next()) {
    if (step != XmlWalk::Step::close) continue;
    if (walk.name() == "Code") code = walk.text();
    if (walk.name() == "Key") key = walk.text();
    if (walk.name() != "Error") continue;
    auto error = meaning_of(code);
    if (error == ObjectErrc::not_found) continue;
    log::warn("s3.delete", {{"key", key}, {"code", code}});
    last = error;
  }
  return last;
}

}  // namespace

Async<void> S3Store::remove(ObjectKey key) {
  Call call("DELETE", net::percent_encoded(key, true));
  call.limit = options_.put_timeout;
  auto response = co_await ask(std::move(call));
  if (!response && response.error() != ObjectErrc::not_found) co_return response.error();
  co_return Result<void>{};
}

Async<void> S3Store::remove_batch(std::span<const ObjectKey> keys) {
  std::string list = "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>";
  for (const auto& key : keys) list += "<Object><Key>" + xml_escaped(key) + "</Key></Object>";
  list += "</Delete>";
  Call call("POST");
  call.query = "delete=";
  call.fields.emplace_back("content-md5", content_md5(list));
  call.fields.emplace_back("content-type", "application/xml");
  call.body.push_back(std::as_bytes(std::span(list)));
  call.limit = options_.put_timeout;
  CO_TRY(auto response, co_await ask(std::move(call)));
  if (auto failed = failure_in(response.text)) co_return failed;
  co_return Result<void>{};
}

Async<void> S3Store::remove_all(std::vector<ObjectKey> keys) {
  Result<void> last;
  for (std::size_t at = 0; at < keys.size();) {
    auto batch = std::span(keys).subspan(at, std::min(kMostPerRequest, keys.size() - at));
    bool many = batch.size() > 1 && removes_many_;
    if (!many) batch = batch.first(1);
    auto removed = many ? co_await remove_batch(batch) : co_await remove(batch.front());
    if (many && !removed && removed.error() == ObjectErrc::bad_request) {
      removes_many_ = false;  // not every server knows it: then one by one
      continue;
    }
    if (!removed) last = removed;
    at += batch.size();
  }
  co_return last;
}

}  // namespace kiseki::object::s3
