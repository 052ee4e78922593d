#pragma once

#include <string>
#include <vector>

#include "cli/failure.hpp"

/// Where things are on this machine, for this user.
namespace kiseki::cli {

std::string home_dir();  ///< $HOME, else the one of the password file; "/" when there is none
bool is_root();
bool file_exists(const std::string& path);
std::vector<std::string> usual_config_files();
std::string default_log_file();    ///< /var/log/kiseki.log, or ~/.kiseki/kiseki.log
std::string default_bucket();      ///< /var/jfs, or ~/.juicefs/local: where JuiceFS puts it
std::string default_volume_dir();  ///< ~/.kiseki
std::string absolute_path(const std::string& path);
/// mkdir -p. `mode` is that of the last directory.
Try<void> make_directories(const std::string& path, unsigned mode = 0755);
/// URL of a metadata engine with a relative file made absolute, so that a daemon may leave the working directory.
/// A URL without "://" is refused with the forms that are allowed.
Try<std::string> absolute_meta_url(const std::string& url);
/// The same URL with an option that keeps a Redis server from telling of changes; other URLs as they are.
std::string without_client_cache(std::string url);
/// The URL for people: a password becomes ****.
std::string shown_meta_url(const std::string& url);

}  // namespace kiseki::cli
