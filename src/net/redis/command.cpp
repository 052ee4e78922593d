#include "net/redis/command.hpp"

#include <openssl/sha.h>

#include <array>
#include <charconv>

namespace kiseki::net::redis {
namespace {

constexpr std::size_t kHeaderBytes = 24;  // a mark, up to 20 digits, CR LF

void append_header(std::string& out, char mark, std::size_t number) {
  std::array<char, kHeaderBytes> text;
  text[0] = mark;
  auto* end = std::to_chars(text.data() + 1, text.data() + text.size() - 2, number).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out.append(text.data(), end);
}

void append_argument(std::string& out, std::string_view argument) {
  append_header(out, '$', argument.size());
  out.append(argument);
  out.append("\r\n");
}

std::string sha1_hex(std::string_view body) {
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest;
  ::SHA1(reinterpret_cast<const unsigned char*>(body.data()), body.size(), digest.data());
  std::string hex;
  for (auto byte : digest) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

}  // namespace

Script::Script(std::string body) {
  auto sha = sha1_hex(body);
  text_ = std::make_shared<const Text>(Text{std::move(body), std::move(sha)});
}

Command Command::eval(const Script& script, const Strings& keys, const Strings& args) {
  Command out;
  out.script_ = script;
  std::size_t bytes = 0;
  for (const auto& key : keys) bytes += key.size() + kHeaderBytes;
  for (const auto& arg : args) bytes += arg.size() + kHeaderBytes;
  out.encoded_.reserve(bytes + kHeaderBytes);
  out.add(keys.size());
  for (const auto& key : keys) out.add(key);
  for (const auto& arg : args) out.add(arg);
  return out;
}

Command& Command::add(std::string_view argument) {
  append_argument(encoded_, argument);
  ++count_;
  return *this;
}

std::size_t Command::wire_size() const { return encoded_.size() + kHeaderBytes + (script_ ? 64 : 0); }

void Command::append_to(std::string& out) const {
  append_header(out, '*', count_ + (script_ ? 2u : 0u));
  if (script_) {
    out.append("$7\r\nEVALSHA\r\n");
    append_argument(out, script_->sha());
  }
  out.append(encoded_);
}

bool Command::append_with_body_to(std::string& out) const {
  if (!script_) return false;
  append_header(out, '*', count_ + 2u);
  out.append("$4\r\nEVAL\r\n");
  append_argument(out, script_->body());
  out.append(encoded_);
  return true;
}

}  // namespace kiseki::net::redis
