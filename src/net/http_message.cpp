#include "net/http_message.hpp"

#include <algorithm>

#include "core/numbers.hpp"

namespace kiseki::net {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

void HttpFields::add(std::string_view name, std::string_view value) {
  auto at = static_cast<std::uint32_t>(text_.size());
  auto name_size = static_cast<std::uint32_t>(name.size());
  entries_.push_back({at, name_size, at + name_size + 2, static_cast<std::uint32_t>(value.size())});
  text_.append(name).append(": ").append(value).append("\r\n");
}

std::string_view HttpFields::find(std::string_view name) const {
  for (const auto& entry : entries_) {
    if (equal_ignoring_case(name_of(entry), name)) return std::string_view(text_).substr(entry.value, entry.value_size);
  }
  return {};
}

bool HttpFields::has(std::string_view name) const {
  return std::ranges::any_of(entries_, [&](const Entry& e) { return equal_ignoring_case(name_of(e), name); });
}

std::size_t HttpRequest::body_size() const {
  std::size_t total = 0;
  for (auto piece : body) total += piece.size();
  return total;
}

std::string HttpEndpoint::authority() const {
  auto text = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return default_port() ? text : text + ":" + std::to_string(port);
}

std::optional<HttpUrl> HttpUrl::parse(std::string_view text) {
  HttpUrl url;
  if (text.starts_with("https://")) {
    url.endpoint.tls = true;
    text.remove_prefix(8);
  } else if (text.starts_with("http://")) {
    text.remove_prefix(7);
  } else {
    return std::nullopt;
  }
  auto end = std::min(text.find_first_of("/?#"), text.size());
  auto authority = text.substr(0, end);
  auto rest = text.substr(end, text.find('#') - end);
  if (!rest.empty()) url.target = rest.front() == '/' ? std::string(rest) : "/" + std::string(rest);
  if (auto at = authority.rfind('@'); at != std::string_view::npos) {
    url.user_info = authority.substr(0, at);
    authority.remove_prefix(at + 1);
  }
  url.endpoint.port = url.endpoint.tls ? 443 : 80;
  auto host = authority, port = std::string_view();
  if (host.starts_with('[')) {
    auto close = host.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    port = host.substr(close + 1);
    host = host.substr(1, close - 1);
    if (!port.empty() && !port.starts_with(':')) return std::nullopt;
  } else if (auto colon = host.find(':'); colon != std::string_view::npos) {
    port = host.substr(colon);
    host = host.substr(0, colon);
  }
  if (port.size() > 1) {
    url.endpoint.port = whole_number<std::uint16_t>(port.substr(1)).value_or(0);
    if (url.endpoint.port == 0) return std::nullopt;
  }
  auto bad = [](char c) { return c <= ' ' || c == 0x7f || c == '%' || c == '\\'; };
  if (host.empty() || std::ranges::any_of(host, bad)) return std::nullopt;
  url.endpoint.host = host;
  return url;
}

}  // namespace kiseki::net
