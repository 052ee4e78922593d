#include "cli/locations.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace kiseki::cli {

std::string home_dir() {
  if (const char* home = std::getenv("HOME"); home && *home == '/') return home;
  if (const passwd* user = ::getpwuid(::getuid()); user && user->pw_dir && *user->pw_dir) return user->pw_dir;
  return "/";
}

bool is_root() { return ::geteuid() == 0; }

bool file_exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

std::vector<std::string> usual_config_files() {
  const char* xdg = std::getenv("XDG_CONFIG_HOME");
  std::string base = xdg && *xdg == '/' ? std::string(xdg) : home_dir() + "/.config";
  return {base + "/kiseki/kiseki.toml", "/etc/kiseki/kiseki.toml"};
}

std::string default_volume_dir() { return home_dir() + "/.kiseki"; }
std::string default_log_file() { return is_root() ? "/var/log/kiseki.log" : default_volume_dir() + "/kiseki.log"; }
std::string default_bucket() { return is_root() ? "/var/jfs" : home_dir() + "/.juicefs/local"; }

std::string absolute_path(const std::string& path) {
  std::error_code ignored;
  auto out = std::filesystem::absolute(path, ignored).lexically_normal().string();
  return out.empty() ? path : out;
}

Try<void> make_directories(const std::string& path, unsigned mode) {
  std::error_code ec;
  bool made = std::filesystem::create_directories(path, ec);
  if (ec) return failure(fmt::format("cannot make the directory {}", path), ec);
  if (made) ::chmod(path.c_str(), mode);
  return boost::system::in_place_value;
}

Try<std::string> absolute_meta_url(const std::string& url) {
  auto colon = url.find("://");
  if (colon == std::string::npos) {
    return Failure{Exit::failed,
                   fmt::format("\"{}\" is not a metadata URL; allowed: sqlite3://PATH, redis://HOST[:PORT]/DB", url)};
  }
  auto scheme = url.substr(0, colon);
  if (scheme != "sqlite3") return url;
  auto query = url.find('?', colon);
  auto path = url.substr(colon + 3, query == std::string::npos ? query : query - colon - 3);
  if (path.empty())
    return Failure{Exit::failed, fmt::format("{}: the path of the database is missing; allowed: sqlite3://PATH", url)};
  return fmt::format("{}://{}{}", scheme, absolute_path(path), query == std::string::npos ? "" : url.substr(query));
}

std::string without_client_cache(std::string url) {
  bool redis = url.starts_with("redis://") || url.starts_with("rediss://") || url.starts_with("unix://");
  if (!redis) return url;
  return url + (url.find('?') == std::string::npos ? '?' : '&') + "client-cache=false";
}

std::string shown_meta_url(const std::string& url) {
  auto start = url.find("://");
  auto at = url.rfind('@');
  if (start == std::string::npos || at == std::string::npos || url.starts_with("sqlite3://")) return url;
  auto colon = url.find(':', start + 3);
  if (colon == std::string::npos || colon > at) return url;
  return url.substr(0, colon + 1) + "****" + url.substr(at);
}

}  // namespace kiseki::cli
