#include "cli/config_changes.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "cli/storage_check.hpp"

namespace kiseki::cli {
namespace {

using meta::Format;

class Changer {
 public:
  Changer(const Settings& settings, const Format& now) : settings_(settings), now_(now) { out_.wanted = now; }

  bool given(std::string_view flag) {
    bool yes = settings_.given(flag);
    out_.asked |= yes;
    return yes;
  }
  template <class T, class Show>
  bool set(std::string_view flag, T Format::* member, T value, Show show) {
    if (out_.wanted.*member == value) return false;
    line(flag, show(out_.wanted.*member), show(value));
    out_.wanted.*member = std::move(value);
    return true;
  }
  void line(std::string_view flag, const std::string& old, const std::string& now) {
    out_.lines.push_back(fmt::format("{:>10}: {} -> {}", flag, old, now));
  }
  void risk(std::string sentence) { out_.risks.push_back(std::move(sentence)); }
  void raise_min_version(std::string_view least) {
    if (out_.wanted.min_client_version.empty() || meta::compare_versions(out_.wanted.min_client_version, least) < 0) {
      out_.wanted.min_client_version = least;
    }
  }

  Try<void> storage();
  void encrypt_secrets();
  void limits();
  void features();
  void change_log();
  Try<void> acl();
  Try<void> tier();
  Try<void> versions();
  ConfigChanges finish() { return std::move(out_); }

 private:
  const Settings& settings_;
  const Format& now_;
  ConfigChanges out_;
};

std::string plain(const std::string& text) { return text; }
std::string hidden(const std::string& text) { return text.empty() ? "" : "removed"; }
std::string shown(bool on) { return on ? "true" : "false"; }
template <class T>
std::string number(T value) {
  return std::to_string(value);
}

Try<void> Changer::storage() {
  bool changed = false;
  if (given("storage")) changed |= set("storage", &Format::storage, settings_.text("storage"), plain);
  if (given("bucket")) {
    TRY(auto bucket, stored_bucket(out_.wanted.storage, settings_.text("bucket")));
    changed |= set("bucket", &Format::bucket, std::move(bucket), plain);
  }
  if (changed) risk("blocks written so far are not moved: what is not in the new place cannot be read");
  if (given("access-key")) changed |= set("access-key", &Format::access_key, settings_.text("access-key"), plain);
  if (given("secret-key")) changed |= set("secret-key", &Format::secret_key, settings_.text("secret-key"), hidden);
  if (given("session-token"))
    changed |= set("session-token", &Format::session_token, settings_.text("session-token"), hidden);
  if (given("encrypt-secret") && settings_.on("encrypt-secret")) encrypt_secrets();
  out_.storage_changed = changed;
  return boost::system::in_place_value;
}

/// Whatever is written has its secrets encrypted: only a line is needed, so that it is written.
void Changer::encrypt_secrets() {
  const auto& wanted = out_.wanted;
  if (wanted.secret_key.empty() && wanted.session_token.empty() && wanted.encrypt_key.empty()) return;
  out_.lines.emplace_back("encrypt-secret: the secrets are stored encrypted");
}

void Changer::limits() {
  if (given("upload-limit"))
    set("upload-limit", &Format::upload_limit, settings_.integer("upload-limit"), number<std::int64_t>);
  if (given("download-limit")) {
    set("download-limit", &Format::download_limit, settings_.integer("download-limit"), number<std::int64_t>);
  }
  if (given("capacity")) set("capacity", &Format::capacity, settings_.count("capacity"), human_bytes);
  if (given("inodes")) set("inodes", &Format::inodes, settings_.count("inodes"), number<std::uint64_t>);
  if (given("trash-days") &&
      set("trash-days", &Format::trash_days, settings_.integer("trash-days"), number<std::int64_t>) &&
      out_.wanted.trash_days == 0) {
    risk("what is in the trash will be deleted, and files deleted from now on are gone at once");
  }
}

void Changer::features() {
  if (given("dir-stats")) set("dir-stats", &Format::dir_stats, settings_.on("dir-stats"), shown);
  if (given("user-group-quota"))
    set("user-group-quota", &Format::user_group_quota, settings_.on("user-group-quota"), shown);
  if (given("ranger-rest-url") &&
      set("ranger-rest-url", &Format::ranger_rest_url, settings_.text("ranger-rest-url"), plain)) {
    raise_min_version("1.3.0-A");
  }
  if (given("ranger-service") &&
      set("ranger-service", &Format::ranger_service, settings_.text("ranger-service"), plain)) {
    raise_min_version("1.3.0-A");
  }
}

void Changer::change_log() {
  if (given("changelog")) set("changelog", &Format::change_log, settings_.on("changelog"), shown);
  if (given("changelog-max-age")) {
    auto age = std::chrono::duration_cast<std::chrono::seconds>(settings_.duration("changelog-max-age")).count();
    set("changelog-max-age", &Format::change_log_max_age, std::int64_t{age},
        [](auto seconds) { return fmt::format("{}s", seconds); });
  }
  if (given("changelog-max-lines")) {
    set("changelog-max-lines", &Format::change_log_max_lines, settings_.integer("changelog-max-lines"),
        number<std::int64_t>);
  }
}

Try<void> Changer::acl() {
  if (!given("enable-acl")) return boost::system::in_place_value;
  if (!settings_.on("enable-acl") && now_.enable_acl) {
    return Failure{Exit::failed, "--enable-acl: ACLs cannot be switched off again"};
  }
  if (set("enable-acl", &Format::enable_acl, settings_.on("enable-acl"), shown)) {
    raise_min_version("1.2.0-A");
    risk("ACLs cannot be switched off again, older clients than 1.2 are refused, mounts offer them once mounted again");
  }
  return boost::system::in_place_value;
}

/// storage-class and tag are of a tier; tier 0 is where everything is written unless told otherwise.
Try<void> Changer::tier() {
  auto id = settings_.integer("tier");
  bool any = given("storage-class");
  any = given("tag") || any;
  if (given("tier") && !any)
    return Failure{Exit::failed, "--tier: say what of it changes, with --storage-class or --tag"};
  if (!any) return boost::system::in_place_value;
  auto& tier = out_.wanted.tiers[std::to_string(id)];
  tier.id = id;
  if (settings_.given("storage-class") && tier.storage_class != settings_.text("storage-class")) {
    line("storage-class", tier.storage_class, settings_.text("storage-class"));
    tier.storage_class = settings_.text("storage-class");
    if (id == 0) out_.wanted.storage_class = tier.storage_class;
  }
  if (settings_.given("tag") && tier.tag != settings_.text("tag")) {
    line("tag", tier.tag, settings_.text("tag"));
    tier.tag = settings_.text("tag");
  }
  if (id > 0) raise_min_version("1.4.0-A");
  return boost::system::in_place_value;
}

Try<void> Changer::versions() {
  for (std::string_view flag : {"min-client-version", "max-client-version"}) {
    if (!given(flag)) continue;
    auto text = settings_.text(flag);
    if (!text.empty() && meta::compare_versions(text, text) != 0) {
      return Failure{
          Exit::failed,
          fmt::format("--{}: \"{}\" is not a version; allowed: MAJOR.MINOR.PATCH, such as 1.2.0", flag, text)};
    }
    auto member = flag == "min-client-version" ? &Format::min_client_version : &Format::max_client_version;
    bool lower = member == &Format::min_client_version && !now_.min_client_version.empty() &&
                 (text.empty() || meta::compare_versions(text, now_.min_client_version) < 0);
    if (lower) {
      return Failure{Exit::failed, fmt::format("--{}: may only rise; it is {}", flag, now_.min_client_version)};
    }
    if (set(flag, member, text, plain) && !out_.wanted.check_version()) {
      risk(fmt::format("clients like this one ({}) will be refused", meta::kCompatibleVersion));
    }
  }
  return boost::system::in_place_value;
}

}  // namespace

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < units.size(); ++unit) value /= 1024;
  if (unit == 0) return fmt::format("{} B", bytes);
  return value < 10 ? fmt::format("{:.1f} {}", value, units[unit]) : fmt::format("{:.0f} {}", value, units[unit]);
}

Try<ConfigChanges> config_changes(const Settings& settings, const Format& now) {
  Changer changer(settings, now);
  TRY_CHECK(changer.storage());
  changer.limits();
  changer.features();
  changer.change_log();
  TRY_CHECK(changer.acl());
  TRY_CHECK(changer.tier());
  TRY_CHECK(changer.versions());
  return changer.finish();
}

}  // namespace kiseki::cli
