#include "cli/format_volume.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "cli/locations.hpp"
#include "cli/meta_access.hpp"
#include "cli/storage_check.hpp"
#include "core/log.hpp"
#include "meta/volume_format.hpp"

namespace kiseki::cli {
namespace {

/// Directories and files that do not exist yet; the destructor removes those that then do, unless told to keep them.
class Traces {
 public:
  ~Traces() {
    if (kept_) return;
    for (const auto& path : files_) ::unlink(path.c_str());
    for (auto path = dirs_.rbegin(); path != dirs_.rend(); ++path) ::rmdir(path->c_str());  // only when empty
  }
  void keep() { kept_ = true; }
  void watch_file(const std::string& path) {
    if (!file_exists(path)) files_.push_back(path);
  }
  void watch_dir(const std::string& path) {
    for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
      if (auto part = path.substr(0, slash); !file_exists(part)) dirs_.push_back(part);
    }
  }

 private:
  std::vector<std::string> files_, dirs_;
  bool kept_ = false;
};

void watch_database(Traces& traces, const std::string& url) {
  if (!is_missing_database(url)) return;
  auto start = url.find("://") + 3;
  auto path = url.substr(start, url.find('?', start) - start);
  for (auto suffix : {"", "-wal", "-shm", "-journal"}) traces.watch_file(path + suffix);
}

asio::awaitable<Try<void>> prepare_store(object::ObjectStore& store, std::string uuid) {
  if (std::getenv("JFS_NO_CHECK_OBJECT_STORAGE")) co_return boost::system::in_place_value;
  CO_CHECK(co_await test_store(store));
  CO_CHECK(co_await check_is_empty(store));
  co_return co_await put_uuid(store, std::move(uuid));
}

}  // namespace

meta::Format new_format(std::string name) {
  meta::Format format;
  format.name = std::move(name);
  format.uuid = meta::new_uuid();
  format.tiers["0"] = {};
  format.compression = "none";
  format.encrypt_algo = "aes256gcm-rsa";
  format.min_client_version = "1.1.0-A";
  return format;
}

Try<meta::Format> make_volume(const std::string& meta_url, meta::Format wanted) {
  if (auto valid = wanted.check_options(); !valid) return as_failure(valid.error());
  TRY_CHECK(check_data_features(wanted));
  Traces traces;
  watch_database(traces, meta_url);
  if (wanted.storage == "file") traces.watch_dir(wanted.bucket + wanted.name + "/testing/");

  auto meta = MetaAccess::open(meta_url, meta::OpenMode::create);
  if (!meta) return meta.error();
  Runtime& runtime = (*meta)->runtime();
  TRY(auto store, open_volume_store(wanted, runtime));
  auto prepared = runtime.wait(prepare_store(*store, wanted.uuid));
  if (!prepared) return prepared.error();
  auto made = runtime.wait(meta::format_volume((*meta)->engine(), wanted, (*meta)->clock()));
  if (!made) {
    runtime.wait(remove_uuid(*store));
    meta->reset();  // the database is closed before its files go
    return as_failure(made.error());
  }
  traces.keep();
  return std::move(*made);
}

}  // namespace kiseki::cli
