#include "object/s3/xml.hpp"

#include <cstdint>
#include <utility>

#include "core/numbers.hpp"

namespace kiseki::object::s3 {

namespace {

constexpr std::pair<std::string_view, char> kEntities[] = {
    {"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};

void append_utf8(std::string& out, std::uint32_t code) {
  auto put = [&out](std::uint32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | (code >> 6));
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3F));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

/// Appends what `entity` (without & and ;) stands for. False when it is none.
bool append_entity(std::string& out, std::string_view entity) {
  for (auto [name, c] : kEntities) {
    if (entity != name) continue;
    out += c;
    return true;
  }
  if (!entity.starts_with('#')) return false;
  bool is_hex = entity.size() > 1 && entity[1] == 'x';
  auto digits = entity.substr(is_hex ? 2 : 1);
  auto code = whole_number<std::uint32_t>(digits, is_hex ? 16 : 10);
  if (!code || *code > 0x10FFFF) return false;
  append_utf8(out, *code);
  return true;
}

}  // namespace

XmlWalk::Step XmlWalk::next() {
  if (std::exchange(empty_element_, false)) {
    before_ = {};
    return Step::close;
  }
  for (;;) {
    auto open = rest_.find('<');
    auto close = open == std::string_view::npos ? open : rest_.find('>', open);
    if (close == std::string_view::npos) {
      rest_ = {};
      return Step::end;
    }
    before_ = rest_.substr(0, open);
    auto tag = rest_.substr(open + 1, close - open - 1);
    rest_.remove_prefix(close + 1);
    if (tag.starts_with('?') || tag.starts_with('!')) continue;
    bool closes = tag.starts_with('/');
    empty_element_ = !closes && tag.ends_with('/');
    if (closes) tag.remove_prefix(1);
    if (empty_element_) tag.remove_suffix(1);
    name_ = tag.substr(0, tag.find_first_of(" \t\r\n"));
    return closes ? Step::close : Step::open;
  }
}

/// "&#x10FFFF;" and nothing is longer; a search to the end for each '&' would let a server keep us busy for minutes.
constexpr std::size_t kLongestEntity = 16;

std::string XmlWalk::text() const {
  std::string out;
  for (auto rest = before_; !rest.empty();) {
    auto at = rest.find('&');
    out.append(rest.substr(0, at));
    if (at == std::string_view::npos) break;
    rest.remove_prefix(at);
    auto end = rest.substr(0, kLongestEntity).find(';');
    if (end != std::string_view::npos && append_entity(out, rest.substr(1, end - 1))) {
      rest.remove_prefix(end + 1);
    } else {
      out += '&';
      rest.remove_prefix(1);
    }
  }
  return out;
}

std::string xml_text(std::string_view xml, std::string_view name) {
  XmlWalk walk(xml);
  for (auto step = walk.next(); step != XmlWalk::Step::end; step = walk.next())
    if (step == XmlWalk::Step::close && walk.name() == name) return walk.text();
  return {};
}

std::string xml_escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    bool found = false;
    for (auto [name, plain] : kEntities) {
      if (c != plain) continue;
      out.append("&").append(name).append(";");
      found = true;
    }
    if (!found) out += c;
  }
  return out;
}

}  // namespace kiseki::object::s3
