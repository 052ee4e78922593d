#include "cli/hidden_arguments.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace kiseki::cli {
namespace {

void star(char* from, char* to) {
  if (from < to) std::fill(from, to, '*');
}

/// SCHEME://[USER]:PASSWORD@HOST. A password may hold any character, so it ends at the last @; SQLite names files.
void star_password(char* word) {
  std::string_view text = word;
  auto start = text.find("://"), at = text.rfind('@');
  if (start == text.npos || at == text.npos || text.starts_with("sqlite3://")) return;
  auto colon = text.find(':', start + 3);
  if (colon < at) star(word + colon + 1, word + at);
}

bool is_secret(std::string_view flag) { return flag == "secret-key" || flag == "session-token"; }

}  // namespace

void hide_secrets(int argc, char** argv) {
  bool value_follows = false;
  for (int i = 1; i < argc; ++i) {
    char* word = argv[i];
    char* end = word + std::strlen(word);
    if (value_follows) {
      star(word, end);
      value_follows = false;
    } else if (*word == '-') {
      char* name = word + std::strspn(word, "-");
      char* equals = std::find(name, end, '=');
      bool secret = is_secret({name, static_cast<std::size_t>(equals - name)});
      if (secret && equals != end) star(equals + 1, end);
      value_follows = secret && equals == end;
      if (!secret) star_password(word);
    } else {
      star_password(word);
    }
  }
}

}  // namespace kiseki::cli
