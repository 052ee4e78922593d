#include "answers.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <charconv>
#include <cstring>
#include <ctime>
#include <map>
#include <optional>
#include <thread>

namespace nulls3 {

namespace {

namespace beast = boost::beast;
namespace http = beast::http;

constexpr std::size_t kMostBody = std::size_t{1} << 30;
constexpr std::size_t kPatternBytes = std::size_t{16} << 20;  // the longest block

struct Request {
  http::verb verb{};
  std::string bucket, key;  // as in the target, percent-decoded
  std::map<std::string, std::string> query;
  std::string range, metadata;
  std::size_t length = 0;
  bool waits = false;  // Expect: 100-continue
  bool keep_alive = true;
  std::string path() const { return bucket + "/" + key; }
  bool asks(const char* name) const { return query.contains(name); }
  std::string value(const char* name) const {
    auto at = query.find(name);
    return at == query.end() ? std::string() : at->second;
  }
};

/// A pattern, for objects that were discarded.
const Bytes& pattern() {
  static const auto* made = [] {
    auto* bytes = new Bytes(kPatternBytes);
    auto room = bytes->writable();
    for (std::size_t i = 0; i < room.size(); ++i) room[i] = static_cast<std::byte>(i * 31 >> 5);
    return bytes;
  }();
  return *made;
}

std::string http_time(std::int64_t seconds, const char* form) {
  std::tm parts{};
  std::time_t time = seconds;
  ::gmtime_r(&time, &parts);
  std::array<char, 64> text{};
  return {text.data(), std::strftime(text.data(), text.size(), form, &parts)};
}

std::string head_of(const char* status, std::size_t length, const std::string& more = "") {
  thread_local std::int64_t second = 0;
  thread_local std::string date;
  if (auto now = ::time(nullptr); now != second) {
    second = now;
    date = http_time(now, "%a, %d %b %Y %H:%M:%S GMT");
  }
  return "HTTP/1.1 " + std::string(status) + "\r\nServer: nulls3\r\nDate: " + date +
         "\r\nContent-Length: " + std::to_string(length) + "\r\n" + more + "\r\n";
}

/// Takes the request's words out of Beast's message. Nothing when the target is no path.
std::optional<Request> request_of(const http::request<http::empty_body>& message) {
  Request out;
  auto target = boost::urls::parse_origin_form({message.target().data(), message.target().size()});
  if (!target) return std::nullopt;
  boost::urls::url_view url(*target);
  std::string path(url.path());
  auto slash = std::min(path.find('/', 1), path.size());
  out.bucket = path.substr(1, slash - 1);
  if (slash < path.size()) out.key = path.substr(slash + 1);
  for (auto parameter : url.params()) out.query[std::string(parameter.key)] = std::string(parameter.value);
  out.verb = message.method();
  out.keep_alive = message.keep_alive();
  auto length = message[http::field::content_length];
  std::from_chars(length.data(), length.data() + length.size(), out.length);
  out.waits = beast::iequals(message[http::field::expect], "100-continue");
  out.range = std::string(message[http::field::range]);
  for (const auto& field : message) {
    auto name = field.name_string();
    if (name.size() > 11 && beast::iequals(name.substr(0, 11), "x-amz-meta-"))
      out.metadata += std::string(name) + ": " + std::string(field.value()) + "\r\n";
  }
  return out;
}

struct Range {
  std::size_t begin = 0, end = 0;
};

/// `bytes=a-b`, `bytes=a-`, `bytes=-n` of an object this long; nothing when it lies outside.
std::optional<Range> range_of(const std::string& text, std::size_t size) {
  auto dash = text.find('-');
  if (!text.starts_with("bytes=") || dash == std::string::npos) return Range{0, size};
  auto number = [](const std::string& digits) { return std::strtoull(digits.c_str(), nullptr, 10); };
  auto first = text.substr(6, dash - 6), last = text.substr(dash + 1);
  if (first.empty()) return Range{size - std::min<std::size_t>(size, number(last)), size};
  if (number(first) >= size) return std::nullopt;
  return Range{number(first), last.empty() ? size : std::min<std::size_t>(size, number(last) + 1)};
}

std::string escaped(const std::string& text, bool as_url) {
  std::string out;
  for (char c : text) {
    bool plain = std::isalnum(static_cast<unsigned char>(c)) || std::strchr("-_.~/", c);
    std::array<char, 8> code{};
    if (!plain) std::snprintf(code.data(), code.size(), as_url ? "%%%02X" : "&#%u;", static_cast<unsigned char>(c));
    out += plain ? std::string(1, c) : std::string(code.data());
  }
  return out;
}

/// Everything one connection needs to answer.
class Answerer {
 public:
  Answerer(Wire& wire, Objects& objects, const Behaviour& behaviour)
      : wire_(wire), objects_(objects), behaviour_(behaviour) {}

  /// Reads one request and answers it. False: the connection is over.
  bool one();

 private:
  std::optional<http::request<http::empty_body>> read_head();
  std::span<const std::byte> buffered(std::size_t most) {
    auto part = std::span(buffer_).subspan(begin_, std::min(most, end_ - begin_));
    begin_ += part.size();
    return part;
  }
  bool read_body(std::span<std::byte> into);
  bool skip_body(std::size_t bytes) { return wire_.discard(bytes - buffered(bytes).size()); }
  bool say(const char* status, const std::string& body = "", const std::string& more = "") {
    return wire_.send_all(head_of(status, body.size(), more), std::as_bytes(std::span(body)));
  }
  bool refuse(const char* status, const std::string& code) {
    auto body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>" + code + "</Code><Message>" + code +
                "</Message></Error>";
    return say(status, body, "Content-Type: application/xml\r\n");
  }
  bool answer(Request& request);
  bool put(const Request& request);
  bool get(const Request& request);
  bool head(const Request& request);
  bool list(const Request& request);
  bool remove_many(const Request& request);

  Wire& wire_;
  Objects& objects_;
  const Behaviour& behaviour_;
  std::array<std::byte, 32 << 10> buffer_;
  std::size_t begin_ = 0, end_ = 0;  // what of buffer_ is not used yet
};

std::optional<http::request<http::empty_body>> Answerer::read_head() {
  http::request_parser<http::empty_body> parser;
  parser.eager(false);
  parser.body_limit(kMostBody);
  for (;;) {
    if (begin_ < end_) {
      beast::error_code error;
      auto used = parser.put(boost::asio::buffer(buffer_.data() + begin_, end_ - begin_), error);
      begin_ += used;
      if (parser.is_header_done()) return parser.release();
      if (error && error != http::error::need_more) return std::nullopt;
    }
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    auto got = wire_.receive(std::span(buffer_).subspan(end_));
    if (got == 0) return std::nullopt;
    end_ += got;
  }
}

bool Answerer::read_body(std::span<std::byte> into) {
  auto first = buffered(into.size());
  std::ranges::copy(first, into.begin());
  return wire_.receive_all(into.subspan(first.size()));
}

bool Answerer::one() {
  auto message = read_head();
  if (!message) return false;
  auto request = request_of(*message);
  if (!request || request->length > kMostBody) return refuse("400 Bad Request", "InvalidRequest") && false;
  if (request->waits && !wire_.send_all("HTTP/1.1 100 Continue\r\n\r\n", {})) return false;
  return answer(*request) && request->keep_alive;
}

bool Answerer::answer(Request& request) {
  auto wait = [this] {
    if (behaviour_.delay.count() > 0) std::this_thread::sleep_for(behaviour_.delay);
  };
  switch (request.verb) {
    case http::verb::put:
      if (!request.key.empty()) return put(request);
      wait();
      return skip_body(request.length) && say("200 OK");  // a bucket: all there are exist
    case http::verb::get:
      wait();
      if (request.asks("location"))
        return say("200 OK", "<?xml version=\"1.0\"?><LocationConstraint>us-east-1</LocationConstraint>");
      return request.key.empty() ? list(request) : get(request);
    case http::verb::head:
      wait();
      return request.key.empty() ? say("200 OK") : head(request);
    case http::verb::delete_:
      wait();
      objects_.erase(request.path());
      return say("204 No Content");
    case http::verb::post:
      wait();
      if (request.asks("delete")) return remove_many(request);
      [[fallthrough]];
    default:
      return skip_body(request.length) && refuse("501 Not Implemented", "NotImplemented");
  }
}

bool Answerer::put(const Request& request) {
  Object object{nullptr, request.length, request.metadata, ::time(nullptr)};
  if (behaviour_.discard) {
    object.headers.clear();  // a checksum would not fit the pattern
    if (!skip_body(request.length)) return false;
  } else if (objects_.bytes() + request.length > behaviour_.most_bytes) {
    return skip_body(request.length) && refuse("503 Slow Down", "SlowDown");
  } else {
    auto bytes = std::make_shared<Bytes>(request.length);
    if (!read_body(bytes->writable())) return false;
    object.bytes = std::move(bytes);
  }
  if (behaviour_.delay.count() > 0) std::this_thread::sleep_for(behaviour_.delay);
  objects_.put(request.path(), std::move(object));
  return say("200 OK", "", "ETag: \"0\"\r\n");
}

bool Answerer::get(const Request& request) {
  Object object;
  if (!objects_.find(request.path(), object)) return refuse("404 Not Found", "NoSuchKey");
  auto range = range_of(request.range, object.size);
  if (!range) return refuse("416 Range Not Satisfiable", "InvalidRange");
  auto size = range->end - range->begin;
  auto more = object.headers +
              "ETag: \"0\"\r\nLast-Modified: " + http_time(object.modified, "%a, %d %b %Y %H:%M:%S GMT") + "\r\n";
  if (!request.range.empty())
    more += "Content-Range: bytes " + std::to_string(range->begin) + "-" + std::to_string(range->end - 1) + "/" +
            std::to_string(object.size) + "\r\n";
  auto start = head_of(request.range.empty() ? "200 OK" : "206 Partial Content", size, more);
  const auto& bytes = object.bytes ? *object.bytes : pattern();
  if (range->end > bytes.size()) return refuse("500 Internal Server Error", "InternalError");
  return wire_.send_all(start, bytes.data().subspan(range->begin, size));
}

bool Answerer::head(const Request& request) {
  Object object;
  if (!objects_.find(request.path(), object)) return wire_.send_all(head_of("404 Not Found", 0), {});
  auto more = object.headers +
              "ETag: \"0\"\r\nLast-Modified: " + http_time(object.modified, "%a, %d %b %Y %H:%M:%S GMT") + "\r\n";
  return wire_.send_all(head_of("200 OK", object.size, more), {});
}

bool Answerer::list(const Request& request) {
  auto most = request.value("max-keys").empty() ? 1000 : std::strtoul(request.value("max-keys").c_str(), nullptr, 10);
  auto after = request.asks("continuation-token") ? request.value("continuation-token") : request.value("start-after");
  auto page =
      objects_.list(request.bucket, request.value("prefix"), after, std::min(most, 1000ul), request.value("delimiter"));
  bool as_url = request.value("encoding-type") == "url";
  std::string body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><Name>" + request.bucket +
                     "</Name><KeyCount>" + std::to_string(page.entries.size()) + "</KeyCount><IsTruncated>" +
                     (page.more ? "true" : "false") + "</IsTruncated>";
  if (page.more)
    body += "<NextContinuationToken>" + escaped(page.entries.back().key, false) + "</NextContinuationToken>";
  for (const auto& entry : page.entries) {
    if (entry.is_prefix) {
      body += "<CommonPrefixes><Prefix>" + escaped(entry.key, as_url) + "</Prefix></CommonPrefixes>";
      continue;
    }
    body += "<Contents><Key>" + escaped(entry.key, as_url) + "</Key><LastModified>" +
            http_time(entry.object.modified, "%Y-%m-%dT%H:%M:%S.000Z") + "</LastModified><ETag>\"0\"</ETag><Size>" +
            std::to_string(entry.object.size) + "</Size><StorageClass>STANDARD</StorageClass></Contents>";
  }
  return say("200 OK", body + "</ListBucketResult>", "Content-Type: application/xml\r\n");
}

bool Answerer::remove_many(const Request& request) {
  std::string body(request.length, '\0');
  if (!read_body(std::as_writable_bytes(std::span(body)))) return false;
  for (std::size_t at = 0; (at = body.find("<Key>", at)) != std::string::npos;) {
    auto begin = at + 5, end = body.find("</Key>", begin);
    if (end == std::string::npos) break;
    objects_.erase(request.bucket + "/" + body.substr(begin, end - begin));
    at = end;
  }
  return say("200 OK", "<?xml version=\"1.0\"?><DeleteResult></DeleteResult>", "Content-Type: application/xml\r\n");
}

}  // namespace

void serve(Wire& wire, Objects& objects, const Behaviour& behaviour) {
  Answerer answerer(wire, objects, behaviour);
  while (answerer.one()) {
  }
}

}  // namespace nulls3
