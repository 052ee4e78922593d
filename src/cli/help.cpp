#include <fmt/format.h>

#include <algorithm>
#include <kiseki/version.hpp>
#include <vector>

#include "cli/verb.hpp"
#include "cli/version.hpp"

namespace kiseki::cli {
namespace {

std::string left_column(const Flag& flag) {
  std::string out = flag.name.size() == 1 ? fmt::format("-{}", flag.name) : fmt::format("--{}", flag.name);
  if (flag.type != FlagType::boolean) out += " VALUE";
  for (auto alias : aliases_of(flag)) out += fmt::format(", {}{}", alias.size() == 1 ? "-" : "--", alias);
  return out;
}

std::string allowed_words(std::string_view allowed) {
  std::string out;
  for (char c : allowed) out += c == '|' ? std::string(", ") : std::string(1, c);
  return out;
}

std::string right_column(const Flag& flag) {
  std::string out(flag.help);
  if (!flag.more.allowed.empty()) out += fmt::format("; {}", allowed_words(flag.more.allowed));
  bool dull = flag.fallback.empty() || (flag.type == FlagType::boolean && flag.fallback == "false");
  if (!dull) out += fmt::format(" (default: {})", flag.fallback);
  if (!flag.more.env.empty()) out += fmt::format(" [${}]", flag.more.env);
  if (!flag.more.about_env.empty()) out += fmt::format(" [see ${}]", flag.more.about_env);
  if (flag.more.effect == Effect::none_yet) out += " [no effect yet]";
  return out;
}

void add_flags(std::string& out, Flags flags) {
  std::vector<std::string_view> groups;
  for (const Flag& flag : flags) {
    if (std::find(groups.begin(), groups.end(), flag.group) == groups.end()) groups.push_back(flag.group);
  }
  for (auto group : groups) {
    out += fmt::format("\n{} OPTIONS\n", group);
    for (const Flag& flag : flags) {
      if (flag.group != group || flag.more.hidden) continue;
      out += fmt::format("  {:<34} {}\n", left_column(flag), right_column(flag));
    }
  }
}

constexpr std::string_view kWhereFrom =
    "\nWHERE VALUES COME FROM\n"
    "  A flag wins over the environment (KISEKI_BUFFER_SIZE for --buffer-size), that over the configuration file\n"
    "  (--config FILE, $KISEKI_CONFIG, ~/.config/kiseki/kiseki.toml, /etc/kiseki/kiseki.toml), that over the default.\n"
    "  Sizes: 64K 300M 1.5G (powers of 1024). Times: 90, 100ms, 1h30m, 2d. Flags may stand anywhere, -x and --x "
    "alike.\n";

constexpr std::string_view kMetaUrls =
    "\nMETA-URL\n"
    "  sqlite3://PATH                            a file on a local disk (PATH from the working directory, or "
    "absolute)\n"
    "  redis://[[USER]:PASSWORD@]HOST[:PORT]/DB  a Redis server; with TLS rediss://, by its socket unix://PATH?db=DB\n"
    "  redis://MASTER,HOST:PORT,HOST:PORT/DB     the master that these Sentinels name\n"
    "  redis://HOST:PORT,HOST:PORT/DB            a Redis Cluster; the volume is the keys {DB}...\n"
    "  Options behind ?, joined by &. sqlite3: _sync=FULL (each commit survives a power cut), _timeout=MILLISECONDS.\n"
    "  redis: wait-replicas=N (a change counts once N replicas have it), tls-ca-cert-file, tls-cert-file, "
    "tls-key-file,\n"
    "  tls-server-name, insecure-skip-verify=true, read-timeout=30s. A password is better kept out of the URL: in\n"
    "  META_PASSWORD, in the file META_PASSWORD_FILE; that of Sentinels in SENTINEL_PASSWORD.\n";

constexpr std::string_view kReadMore =
    "\nREAD MORE\n"
    "  README.md (first steps), SEMANTICS.md (what applications may rely on), conf/kiseki.toml (every key explained)\n";

}  // namespace

std::string help_of(const Verb& verb) {
  std::string out = fmt::format("kiseki {} - {}\n\nUSAGE\n  kiseki {}{}{}{}\n\n{}\n\nEXAMPLES\n{}", verb.name,
                                verb.summary, verb.name, verb.flags().empty() ? "" : " [OPTIONS]",
                                verb.arguments.empty() ? "" : " ", verb.arguments, verb.about, verb.examples);
  if (verb.arguments.find("META-URL") != std::string_view::npos) out += kMetaUrls;
  add_flags(out, verb.flags());
  add_flags(out, global_flags());
  if (verb.outside_values) out += kWhereFrom;
  return out += kReadMore;
}

std::string help_of_program() {
  std::string out =
      "kiseki - a POSIX file system from a metadata engine and an object store, in JuiceFS's formats\n\n"
      "USAGE\n  kiseki VERB [OPTIONS] [ARGUMENTS]\n\n"
      "FIRST STEPS\n"
      "  kiseki mount ~/k -d                              a volume of your own, made on first use, mounted at ~/k\n"
      "  kiseki umount ~/k\n"
      "  kiseki format sqlite3:///srv/v.db myvol --bucket /srv/objects\n"
      "  kiseki mount sqlite3:///srv/v.db /mnt/v -d\n\n"
      "VERBS\n";
  for (const Verb& verb : verbs()) {
    if (!verb.hidden) out += fmt::format("  {:<10} {}\n", verb.name, verb.summary);
  }
  add_flags(out, global_flags());
  out += "\nkiseki VERB --help tells everything about one of them.\n";
  return out += kReadMore;
}

std::string version_line() {
  return fmt::format("kiseki version {} (volumes of JuiceFS {})", kVersion, kJuicefsVersion);
}

}  // namespace kiseki::cli
