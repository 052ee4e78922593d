#include "vfs/access_words.hpp"

#include <spdlog/fmt/fmt.h>
#include <sys/stat.h>

#include <algorithm>

#include "core/utf8.hpp"

namespace kiseki::vfs::words {
namespace {

/// Go writes these as they are.
bool is_plain(std::string_view text) {
  for (; !text.empty(); text.remove_prefix(utf8_length(text))) {
    auto c = static_cast<unsigned char>(text.front());
    if ((c < 0x20 && c != '\t') || c == 0x7F || c == '`' || utf8_length(text) == 0) return false;
  }
  return true;
}

std::string escape(char c) {
  constexpr std::string_view kNamed = "\a\b\f\n\r\t\v\"\\", kNames = "abfnrtv\"\\";
  if (auto at = kNamed.find(c); at != kNamed.npos) return {'\\', kNames[at]};
  auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte >= 0x7F ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
}

std::uint32_t type_bits(meta::FileType type) {
  constexpr std::uint32_t kBits[] = {0, S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFBLK, S_IFCHR, S_IFSOCK};
  return kBits[static_cast<std::size_t>(type)];
}

char letter_of(std::uint32_t mode) {
  switch (mode & S_IFMT) {
    case S_IFSOCK:
      return 's';
    case S_IFLNK:
      return 'l';
    case S_IFREG:
      return '-';
    case S_IFBLK:
      return 'b';
    case S_IFDIR:
      return 'd';
    case S_IFCHR:
      return 'c';
    case S_IFIFO:
      return 'f';
    default:
      return '?';
  }
}

std::string letters(std::uint32_t mode) {
  std::string out = "?rwxrwxrwx";
  out[0] = letter_of(mode);
  for (std::size_t i = 0; i < 9; ++i)
    if (!(mode & (1u << i))) out[9 - i] = '-';
  auto special = [&](std::size_t at, std::uint32_t bit, char small, char large) {
    if (mode & bit) out[at] = out[at] == 'x' ? small : large;
  };
  special(3, S_ISUID, 's', 'S');
  special(6, S_ISGID, 's', 'S');
  special(9, S_ISVTX, 't', 'T');
  return out;
}

}  // namespace

std::string quoted(std::string_view text) {
  if (is_plain(text)) return std::string(text);
  std::string out;
  while (!text.empty()) {
    auto length = utf8_length(text);
    out += length > 1 ? std::string(text.substr(0, length)) : escape(text.front());
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  auto from = out.find_first_not_of('"'), to = out.find_last_not_of('"');  // so does JuiceFS, a closing \" too
  return from == out.npos ? "" : out.substr(from, to - from + 1);
}

std::string mode(std::uint32_t mode, std::uint32_t shown) {
  return fmt::format("{}:0{:04o}", letters(mode), mode & shown);
}

std::string entry(Ino ino, const Attr& attr) {
  if (ino.value == 0) return "";
  auto full = type_bits(attr.type) | attr.mode;
  return fmt::format(" ({},[{}:0{:06o},{},{},{},{},{},{},{}])", ino.value, letters(full), full, attr.nlink, attr.uid,
                     attr.gid, attr.atime.sec, attr.mtime.sec, attr.ctime.sec, attr.length);
}

std::string changes(const SetAttr& change) {
  std::uint32_t bits = 0;  // of JuiceFS's own
  std::string list;
  auto add = [&](bool is_set, std::uint32_t bit, const std::string& text) {
    if (!is_set) return;
    bits |= bit;
    list += (list.empty() ? "" : ",") + text;
  };
  const auto& to = change.to;
  auto time = [](bool now, std::int64_t seconds) { return now || seconds < 0 ? "NOW" : std::to_string(seconds); };
  add(change.set & meta::kMode, 1, "mode=" + mode(to.mode | S_IFREG, 07777));
  add(change.set & meta::kUid, 2, fmt::format("uid={}", to.uid));
  add(change.set & meta::kGid, 4, fmt::format("gid={}", to.gid));
  add(change.set & meta::kAtime, 16, "atime=" + time(change.atime_now, to.atime.sec));
  add(change.set & meta::kMtime, 32, "mtime=" + time(change.mtime_now, to.mtime.sec));
  add(change.set & meta::kLength, 8, fmt::format("size={}", to.length));
  if (change.atime_now) bits |= 128;
  if (change.mtime_now) bits |= 256;
  return fmt::format("0x{:X},[{}]", bits, list);
}

std::string_view lock_type(std::uint32_t type) { return type == 0 ? "R" : type == 1 ? "W" : "U"; }

std::string_view flock_type(std::uint32_t type) { return type == 0 ? "LOCKSH" : type == 1 ? "LOCKEX" : "UNLOCK"; }

}  // namespace kiseki::vfs::words
