#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "cli/format_volume.hpp"
#include "cli/locations.hpp"
#include "cli/meta_access.hpp"
#include "cli/settings.hpp"
#include "cli/storage_check.hpp"
#include "core/log.hpp"
#include "meta/volume_format.hpp"

namespace kiseki::cli {
namespace {

bool power_of_two(std::uint64_t value) { return value && !(value & (value - 1)); }

Try<void> apply_storage(const Settings& settings, meta::Format& format, bool fresh) {
  auto wants = [&](std::string_view flag) { return fresh || settings.given(flag); };
  if (wants("storage")) format.storage = settings.text("storage");
  if (settings.given("bucket")) {
    TRY(format.bucket, stored_bucket(format.storage, settings.text("bucket")));
  } else if (fresh) {
    TRY(format.bucket, stored_bucket(format.storage, default_bucket()));
  }
  if (wants("access-key")) format.access_key = settings.text("access-key");
  if (wants("secret-key")) format.secret_key = settings.text("secret-key");
  if (wants("session-token")) format.session_token = settings.text("session-token");
  if (settings.given("storage-class"))
    format.tiers["0"].storage_class = format.storage_class = settings.text("storage-class");
  if (settings.given("tag")) format.tiers["0"].tag = settings.text("tag");
  return boost::system::in_place_value;
}

/// The PEM text as it is in the file: JuiceFS keeps it so, still under its passphrase.
Try<std::string> read_key(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf()))
    return Failure{Exit::failed, fmt::format("--encrypt-rsa-key: {} cannot be read, or is empty", path)};
  return text.str();
}

/// Encryption is decided once: objects that are there stay as they are.
Try<void> apply_encryption(const Settings& settings, meta::Format& format, bool fresh) {
  if (!fresh) {
    for (auto flag : {"encrypt-rsa-key", "encrypt-algo"})
      if (settings.given(flag)) log::warn("format.unchangeable", {{"flag", flag}, {"effect", "ignored"}});
    return boost::system::in_place_value;
  }
  format.encrypt_algo = settings.text("encrypt-algo");
  auto path = settings.text("encrypt-rsa-key");
  if (path.empty()) return boost::system::in_place_value;
  TRY(format.encrypt_key, read_key(path));
  return boost::system::in_place_value;
}

Try<void> apply_data(const Settings& settings, meta::Format& format, bool fresh) {
  auto wants = [&](std::string_view flag) { return fresh || settings.given(flag); };
  if (wants("block-size")) {
    auto bytes = settings.count("block-size");
    if (!power_of_two(bytes)) {
      return Failure{Exit::failed, fmt::format("{}: {} KiB is not a power of two; allowed: 64K, 128K, 256K, ... 16M",
                                               settings.origin("block-size"), bytes >> 10)};
    }
    format.block_kib = static_cast<std::uint32_t>(bytes >> 10);
  }
  if (wants("compress")) format.compression = settings.text("compress");
  if (wants("hash-prefix")) format.hash_prefix = settings.on("hash-prefix");
  if (wants("shards")) format.shards = static_cast<std::uint32_t>(settings.integer("shards"));
  return boost::system::in_place_value;
}

void apply_management(const Settings& settings, meta::Format& format, bool fresh) {
  auto wants = [&](std::string_view flag) { return fresh || settings.given(flag); };
  if (wants("capacity")) format.capacity = settings.count("capacity");
  if (wants("inodes")) format.inodes = settings.count("inodes");
  if (wants("trash-days")) format.trash_days = settings.integer("trash-days");
  if (settings.on("enable-acl")) {
    format.enable_acl = true;
    if (meta::compare_versions(format.min_client_version, "1.2.0-A") < 0) format.min_client_version = "1.2.0-A";
  }
  if (wants("ranger-rest-url")) format.ranger_rest_url = settings.text("ranger-rest-url");
  if (wants("ranger-service")) format.ranger_service = settings.text("ranger-service");
}

/// Settings of the command line, over the volume's own or over the defaults.
Try<meta::Format> wanted_format(const Settings& settings, meta::Format format, bool fresh) {
  TRY_CHECK(apply_storage(settings, format, fresh));
  TRY_CHECK(apply_data(settings, format, fresh));
  TRY_CHECK(apply_encryption(settings, format, fresh));
  apply_management(settings, format, fresh);
  return format;
}

void tell(const meta::Format& format) {
  auto shown = format.redacted();
  log::info("format.done",
            {{"volume", shown.name}, {"storage", shown.storage}, {"bucket", shown.bucket}, {"uuid", shown.uuid}});
}

Try<int> make_new(const Settings& settings, const std::string& url, const std::string& name) {
  TRY(auto wanted, wanted_format(settings, new_format(name), true));
  TRY(auto made, make_volume(url, std::move(wanted)));
  tell(made);
  return 0;
}

Try<int> change_existing(const Settings& settings, MetaAccess& meta, const meta::Format& existing,
                         const std::string& name) {
  if (settings.on("no-update")) return 0;
  if (existing.name != name) {
    return Failure{Exit::failed, fmt::format("this database holds the volume {}, not {}; a volume cannot be renamed",
                                             existing.name, name)};
  }
  TRY(auto wanted, wanted_format(settings, existing, false));
  bool moved = wanted.storage != existing.storage || wanted.bucket != existing.bucket;
  if (moved && !settings.on("force")) {
    TRY(auto store, open_volume_store(wanted, meta.runtime()));
    if (auto tested = meta.runtime().wait(test_store(*store)); !tested) return tested.error();
  }
  auto done = meta.runtime().wait(meta::format_volume(meta.engine(), std::move(wanted), meta.clock()));
  if (!done) return as_failure(done.error());
  tell(*done);
  return 0;
}

}  // namespace

Try<int> run_format(const Settings& settings) {
  TRY(auto url, absolute_meta_url(settings.arguments()[0]));
  const auto& name = settings.arguments()[1];
  if (!meta::valid_volume_name(name)) {
    return Failure{
        Exit::failed,
        fmt::format("\"{}\" is not a volume name; allowed: 3 to 63 of a-z, 0-9 and -, not - at the ends", name)};
  }
  TRY(auto meta, MetaAccess::find(url));
  if (meta) {
    auto existing = meta->runtime().wait(meta::read_format(meta->engine()));
    if (existing) return change_existing(settings, *meta, *existing, name);
    if (existing.error().code != posix(ENOENT)) return as_failure(existing.error());
    meta.reset();
  }
  return make_new(settings, url, name);
}

}  // namespace kiseki::cli
