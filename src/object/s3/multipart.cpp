#include <algorithm>

#include "core/async.hpp"
#include "core/log.hpp"
#include "net/text_coding.hpp"
#include "object/s3/call.hpp"
#include "object/s3/xml.hpp"

// Large objects go up in parts. Blocks never are large; dumps of the metadata may be.

namespace kiseki::object::s3 {

namespace {

constexpr std::size_t kMostParts = 10'000;
constexpr std::size_t kLeastPart = 16 << 20;
constexpr std::size_t kPartsAtOnce = 4;
/// AWS takes some minutes to join thousands of parts, and keeps sending blanks meanwhile.
constexpr auto kLongestJoin = std::chrono::minutes(10);

/// The pieces of [from, from + size) of a body.
std::vector<std::span<const std::byte>> cut(const Body& body, std::size_t from, std::size_t size) {
  std::vector<std::span<const std::byte>> out;
  for (auto piece : body.pieces) {
    if (from >= piece.size()) {
      from -= piece.size();
      continue;
    }
    auto part = piece.subspan(from, std::min(size, piece.size() - from));
    from = 0;
    size -= part.size();
    out.push_back(part);
    if (size == 0) break;
  }
  return out;
}

}  // namespace

Async<void> S3Store::put_part(std::string path, std::string upload, std::size_t number,
                              std::vector<std::span<const std::byte>> pieces, std::string& tag) {
  Call call("PUT", std::move(path));
  call.query = fmt::format("partNumber={}&uploadId={}", number, upload);
  call.body = std::move(pieces);
  call.limit = options_.put_timeout;
  CO_TRY(auto response, co_await ask(std::move(call)));
  tag = response.fields.find("etag");
  co_return Result<void>{};
}

Async<void> S3Store::put_parts(std::string path, std::string upload, const Body& body) {
  auto part_size = std::max(kLeastPart, (body.size() + kMostParts - 1) / kMostParts);
  std::vector<std::string> tags((body.size() + part_size - 1) / part_size);
  std::vector<Async<void>> parts;
  for (std::size_t i = 0; i < tags.size(); ++i) {
    auto size = std::min(part_size, body.size() - i * part_size);
    parts.push_back(put_part(path, upload, i + 1, cut(body, i * part_size, size), tags[i]));
  }
  CO_CHECK(co_await fan_out(std::move(parts), kPartsAtOnce));
  std::string list = "<CompleteMultipartUpload>";
  for (std::size_t i = 0; i < tags.size(); ++i)
    list += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", i + 1, xml_escaped(tags[i]));
  list += "</CompleteMultipartUpload>";
  Call call("POST", std::move(path));
  call.query = "uploadId=" + upload;
  call.body.push_back(std::as_bytes(std::span(list)));
  call.limit = kLongestJoin;
  CO_TRY(auto response, co_await ask(std::move(call)));
  // The server may say 200 first and find out later that it failed.
  if (response.text.find("<Error>") == std::string::npos) co_return Result<void>{};
  log::warn("s3.multipart", {{"code", xml_text(response.text, "Code")}});
  co_return ObjectErrc::unavailable;
}

Async<void> S3Store::put_large(const ObjectKey& key, const Body& body, Fields fields) {
  auto path = net::percent_encoded(key, true);
  Call begin("POST", path);
  begin.query = "uploads=";
  begin.fields = std::move(fields);
  begin.limit = options_.put_timeout;
  CO_TRY(auto begun, co_await ask(std::move(begin)));
  auto upload = net::percent_encoded(xml_text(begun.text, "UploadId"));
  if (upload.empty()) co_return ObjectErrc::unavailable;
  auto done = co_await put_parts(path, upload, body);
  if (!done) {
    Call end("DELETE", path);
    end.query = "uploadId=" + upload;
    end.limit = options_.put_timeout;
    std::ignore = co_await ask(std::move(end));  // what it leaves, the bucket's lifecycle takes away
  }
  co_return done;
}

}  // namespace kiseki::object::s3
