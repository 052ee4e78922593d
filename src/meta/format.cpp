#include "meta/format.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <stdexcept>
#include <tuple>

namespace kiseki::meta {
namespace {

namespace json = boost::json;

Failure bad(std::string why) { return {std::make_error_code(std::errc::invalid_argument), std::move(why)}; }

// ---- reading ----------------------------------------------------------------------------------------------------

/// Takes known members out of an object; the first member of a wrong type is remembered.
class Members {
 public:
  explicit Members(json::object object) : object_(std::move(object)) {}

  void take(std::string_view key, std::string& out) {
    if (auto value = take(key); value && value->is_string())
      out = json::value_to<std::string>(*value);
    else if (value)
      wrong(key, "a text");
  }
  void take(std::string_view key, bool& out) {
    if (auto value = take(key); value && value->is_bool())
      out = value->as_bool();
    else if (value)
      wrong(key, "true or false");
  }
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  void take(std::string_view key, T& out) {
    auto value = take(key);
    if (!value) return;
    json::error_code ec;
    auto number = value->to_number<T>(ec);
    if (ec)
      wrong(key, "a whole number in range");
    else
      out = number;
  }
  void take(std::string_view key, std::map<std::string, Tier>& out) {
    auto value = take(key);
    if (!value) return;
    if (!value->is_object()) return wrong(key, "an object");
    for (auto& [name, tier] : value->as_object()) {
      if (!tier.is_object()) return wrong(key, "an object of objects");
      Members members(tier.as_object());
      auto& to = out[std::string(name)];
      members.take("ID", to.id);
      members.take("StorageClass", to.storage_class);
      members.take("Tag", to.tag);
      if (!members.error_.empty()) error_ = members.error_;
    }
  }

  const std::string& error() const { return error_; }
  const json::object& left() const { return object_; }

 private:
  /// nullopt when missing or null, which JuiceFS reads as the zero value.
  std::optional<json::value> take(std::string_view key) {
    auto at = object_.find(key);
    if (at == object_.end()) return std::nullopt;
    json::value value = at->value();
    object_.stable_erase(at);
    if (value.is_null()) return std::nullopt;
    return value;
  }
  void wrong(std::string_view key, const char* allowed) {
    if (error_.empty()) error_ = fmt::format("{} must be {}", key, allowed);
  }
  json::object object_;
  std::string error_;
};

// ---- writing ----------------------------------------------------------------------------------------------------

/// JSON text of a string; < > & escaped as JuiceFS escapes them.
std::string quoted(std::string_view text) {
  std::string out;
  for (char c : json::serialize(json::value(json::string(text)))) switch (c) {
      case '<':
        out += "\\u003c";
        break;
      case '>':
        out += "\\u003e";
        break;
      case '&':
        out += "\\u0026";
        break;
      default:
        out += c;
    }
  return out;
}

class Lines {
 public:
  void raw(std::string_view key, std::string_view value) {
    text_ += text_.empty() ? "{\n" : ",\n";
    text_ += quoted(key);
    text_ += ": ";
    text_ += value;
  }
  void put(std::string_view key, std::string_view value) { raw(key, quoted(value)); }
  void put(std::string_view key, bool value) { raw(key, value ? "true" : "false"); }
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  void put(std::string_view key, T value) {
    raw(key, fmt::format("{}", value));
  }
  template <class T>
  void unless_empty(std::string_view key, const T& value) {
    if (value != T{}) put(key, value);
  }
  std::string done() const { return text_.empty() ? "{}" : text_ + "\n}"; }

 private:
  std::string text_;
};

std::string tiers_json(const std::map<std::string, Tier>& tiers) {
  if (tiers.empty()) return "null";
  Lines lines;
  for (auto& [name, tier] : tiers) {
    Lines one;
    one.put("ID", tier.id);
    one.put("StorageClass", std::string_view(tier.storage_class));
    one.put("Tag", std::string_view(tier.tag));
    lines.raw(name, one.done());
  }
  return lines.done();
}

// ---- versions ---------------------------------------------------------------------------------------------------

struct Version {
  std::uint64_t numbers[3] = {};
  std::string_view pre;
};

bool parse_version(std::string_view text, Version& out) {
  text = text.substr(0, text.find('+'));
  if (text.starts_with('v')) text.remove_prefix(1);
  auto dash = text.find('-');
  if (dash != std::string_view::npos) out.pre = text.substr(dash + 1);
  auto core = text.substr(0, dash);
  const char *at = core.data(), *end = at + core.size();
  for (int i = 0; i < 3; ++i) {
    if (i > 0 && (at == end || *at++ != '.')) return false;
    auto [next, ec] = std::from_chars(at, end, out.numbers[i]);
    if (ec != std::errc()) return false;
    at = next;
  }
  return at == end;
}

template <class T>
int sign(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

}  // namespace

void throw_exception_from_error(const Failure& failure, const boost::source_location&) {
  throw std::runtime_error(failure.message);
}

Explained<Format> Format::parse(std::string_view text) {
  json::error_code ec;
  auto value = json::parse(text, ec);
  if (ec) return bad("the volume's setting is not JSON: " + ec.message());
  if (!value.is_object()) return bad("the volume's setting is not a JSON object");
  Members in(std::move(value.as_object()));
  Format f;
  f.tiers.clear();
  f.dir_stats = false;  // left out when false
  f.trash_days = 0;
  f.meta_version = 0;  // left out by clients before there were versions; means 1
  in.take("Name", f.name);
  in.take("UUID", f.uuid);
  in.take("Storage", f.storage);
  in.take("StorageClass", f.storage_class);
  in.take("Tiers", f.tiers);
  in.take("Bucket", f.bucket);
  in.take("AccessKey", f.access_key);
  in.take("SecretKey", f.secret_key);
  in.take("SessionToken", f.session_token);
  in.take("BlockSize", f.block_kib);
  in.take("Compression", f.compression);
  in.take("Shards", f.shards);
  in.take("HashPrefix", f.hash_prefix);
  in.take("Capacity", f.capacity);
  in.take("Inodes", f.inodes);
  in.take("EncryptKey", f.encrypt_key);
  in.take("EncryptAlgo", f.encrypt_algo);
  in.take("KeyEncrypted", f.key_encrypted);
  in.take("UploadLimit", f.upload_limit);
  in.take("DownloadLimit", f.download_limit);
  in.take("TrashDays", f.trash_days);
  in.take("MetaVersion", f.meta_version);
  in.take("MinClientVersion", f.min_client_version);
  in.take("MaxClientVersion", f.max_client_version);
  in.take("DirStats", f.dir_stats);
  in.take("UserGroupQuota", f.user_group_quota);
  in.take("EnableACL", f.enable_acl);
  in.take("RangerRestUrl", f.ranger_rest_url);
  in.take("RangerService", f.ranger_service);
  in.take("ChangeLog", f.change_log);
  in.take("ChangeLogMaxAge", f.change_log_max_age);
  in.take("ChangeLogMaxLines", f.change_log_max_lines);
  in.take("KerbConf", f.kerb_conf);
  if (!in.error().empty()) return bad("the volume's setting is damaged: " + in.error());
  if (f.name.empty() || f.uuid.empty()) return bad("the volume's setting has no Name or no UUID");
  for (auto& [key, kept] : in.left()) f.unknown.emplace_back(key, json::serialize(kept));
  return f;
}

std::string Format::to_json() const {
  Lines out;
  out.put("Name", std::string_view(name));
  out.put("UUID", std::string_view(uuid));
  out.put("Storage", std::string_view(storage));
  out.unless_empty("StorageClass", std::string_view(storage_class));
  out.raw("Tiers", tiers_json(tiers));
  out.put("Bucket", std::string_view(bucket));
  out.unless_empty("AccessKey", std::string_view(access_key));
  out.unless_empty("SecretKey", std::string_view(secret_key));
  out.unless_empty("SessionToken", std::string_view(session_token));
  out.put("BlockSize", block_kib);
  out.unless_empty("Compression", std::string_view(compression));
  out.unless_empty("Shards", shards);
  out.unless_empty("HashPrefix", hash_prefix);
  out.unless_empty("Capacity", capacity);
  out.unless_empty("Inodes", inodes);
  out.unless_empty("EncryptKey", std::string_view(encrypt_key));
  out.unless_empty("EncryptAlgo", std::string_view(encrypt_algo));
  out.unless_empty("KeyEncrypted", key_encrypted);
  out.unless_empty("UploadLimit", upload_limit);
  out.unless_empty("DownloadLimit", download_limit);
  out.put("TrashDays", trash_days);
  out.unless_empty("MetaVersion", meta_version);
  out.unless_empty("MinClientVersion", std::string_view(min_client_version));
  out.unless_empty("MaxClientVersion", std::string_view(max_client_version));
  out.unless_empty("DirStats", dir_stats);
  out.unless_empty("UserGroupQuota", user_group_quota);
  out.put("EnableACL", enable_acl);
  out.unless_empty("RangerRestUrl", std::string_view(ranger_rest_url));
  out.unless_empty("RangerService", std::string_view(ranger_service));
  out.unless_empty("ChangeLog", change_log);
  out.unless_empty("ChangeLogMaxAge", change_log_max_age);
  out.unless_empty("ChangeLogMaxLines", change_log_max_lines);
  out.unless_empty("KerbConf", std::string_view(kerb_conf));
  for (auto& [key, text] : unknown) out.raw(key, text);
  return out.done();
}

bool valid_volume_name(std::string_view name) {
  auto edge = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (name.size() < 3 || name.size() > 63 || !edge(name.front()) || !edge(name.back())) return false;
  return std::ranges::all_of(name, [&](char c) { return edge(c) || c == '-'; });
}

int compare_versions(std::string_view a, std::string_view b) {
  Version x, y;
  if (!parse_version(a, x) || !parse_version(b, y)) return 2;
  for (int i = 0; i < 3; ++i)
    if (auto order = sign(x.numbers[i], y.numbers[i])) return order;
  if (x.pre.empty() || y.pre.empty()) return sign(x.pre.empty(), y.pre.empty());
  return sign(x.pre, y.pre);
}

Explained<void> Format::check_version() const {
  if (meta_version > kMetaVersion)
    return bad(
        fmt::format("the volume has metadata version {}; this client reads up to {}", meta_version, kMetaVersion));
  auto refuse = [](const char* key, std::string_view wanted, const char* how) {
    return bad(fmt::format("the volume wants a client {} {} ({}); this one is compatible with {}", how, wanted, key,
                           kCompatibleVersion));
  };
  if (!min_client_version.empty()) {
    auto order = compare_versions(kCompatibleVersion, min_client_version);
    if (order == 2) return bad("MinClientVersion of the volume is no version: " + min_client_version);
    if (order < 0) return refuse("MinClientVersion", min_client_version, "of at least");
  }
  if (!max_client_version.empty()) {
    auto order = compare_versions(kCompatibleVersion, max_client_version);
    if (order == 2) return bad("MaxClientVersion of the volume is no version: " + max_client_version);
    if (order > 0) return refuse("MaxClientVersion", max_client_version, "of at most");
  }
  return {};
}

Explained<void> Format::check_options() const {
  if (!valid_volume_name(name))
    return bad(fmt::format(
        "volume name \"{}\": 3 to 63 characters of a-z, 0-9 and '-', not beginning or ending with '-'", name));
  if (block_kib < 64 || block_kib > 16384 || (block_kib & (block_kib - 1)) != 0)
    return bad(fmt::format("block size {} KiB: a power of two from 64 KiB to 16 MiB", block_kib));
  if (!compression.empty() && compression != "none" && compression != "lz4" && compression != "zstd")
    return bad(fmt::format("compression \"{}\": none, lz4 or zstd", compression));
  if (shards > 256) return bad(fmt::format("shards {}: at most 256", shards));
  if (trash_days < 0) return bad(fmt::format("trash days {}: 0 or more", trash_days));
  return {};
}

}  // namespace kiseki::meta
