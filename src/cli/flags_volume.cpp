// Flags of the verbs that speak about a volume or its store: format, config, status, info, umount, objbench; and those
// of every verb.
#include "cli/flag.hpp"

namespace kiseki::cli {
namespace {

constexpr auto kBool = FlagType::boolean;
constexpr auto kText = FlagType::text;
constexpr auto kNone = Effect::none_yet;

constexpr Flag kGlobal[] = {
    {"help", "h", kBool, "false", "show help and exit", "GLOBAL"},
    {"version", "V", kBool, "false", "show the version and exit", "GLOBAL"},
    {"config", "", kText, "", "configuration file (TOML); also KISEKI_CONFIG", "GLOBAL"},
    {"verbose", "debug,v", kBool, "false", "log at debug level", "GLOBAL"},
    {"quiet", "q", kBool, "false", "log warnings and errors only", "GLOBAL"},
    {"trace", "", kBool, "false", "log everything", "GLOBAL"},
    {"log-level",
     "",
     kText,
     "",
     "exact log level; wins over verbose, quiet and trace",
     "GLOBAL",
     {.allowed = "|trace|debug|info|warn|warning|error|fatal|panic", .hidden = true}},
    {"log-format", "", kText, "text", "how log lines look", "GLOBAL", {.allowed = "text|json"}},
    {"log-id", "", kText, "", "put [ID] before each log line; \"random\": a new one", "GLOBAL", {.effect = kNone}},
    {"no-agent", "", kBool, "false", "no profiling listener (there is none)", "GLOBAL"},
    {"pyroscope",
     "",
     kText,
     "",
     "push profiles to this Pyroscope server",
     "GLOBAL",
     {.about_env = "PYROSCOPE_AUTH_TOKEN", .effect = kNone}},
    {"no-color", "", kBool, "false", "never colour log lines", "GLOBAL"},
    {"generate-bash-completion", "", kBool, "false", "list what may stand next", "GLOBAL", {.hidden = true}},
};

constexpr Flag kFormat[] = {
    {"storage", "", kText, "file", "kind of object store: file, s3 or minio", "STORAGE", {.needed = true}},
    {"bucket",
     "",
     kText,
     "/var/jfs",
     "directory or bucket URL of the store (users: ~/.juicefs/local)",
     "STORAGE",
     {.needed = true}},
    {"access-key", "", kText, "", "access key of the store", "STORAGE", {.env = "ACCESS_KEY"}},
    {"secret-key", "", kText, "", "secret key of the store", "STORAGE", {.env = "SECRET_KEY"}},
    {"session-token", "", kText, "", "session token of the store", "STORAGE", {.env = "SESSION_TOKEN"}},
    {"storage-class", "", kText, "", "class of new objects (kept in the volume; stores with classes use it)",
     "STORAGE"},
    {"tag", "", kText, "", "object tag KEY=VALUE (kept in the volume; stores with tags use it)", "STORAGE"},
    {"block-size",
     "",
     FlagType::size,
     "4M",
     "size of a block; a power of two",
     "DATA",
     {.allowed = "64K..16M", .unit = 'K'}},
    {"compress", "", kText, "none", "compression of blocks", "DATA", {.allowed = "none|lz4|zstd"}},
    {"encrypt-rsa-key",
     "",
     kText,
     "",
     "PEM file of the private key that turns encryption on",
     "DATA",
     {.about_env = "JFS_RSA_PASSPHRASE"}},
    {"encrypt-algo",
     "",
     kText,
     "aes256gcm-rsa",
     "cipher of encrypted blocks",
     "DATA",
     {.allowed = "aes256gcm-rsa|chacha20-rsa"}},
    {"hash-prefix", "", kBool, "false", "spread object keys by a hash prefix", "DATA"},
    {"shards", "", FlagType::integer, "0", "spread over this many buckets", "DATA", {.allowed = "0..256"}},
    {"capacity",
     "",
     FlagType::size,
     "",
     "limit of the volume's space, bare number in GiB; 0: none",
     "MANAGEMENT",
     {.unit = 'G'}},
    {"inodes", "", FlagType::count, "0", "limit of the volume's inodes; 0: none", "MANAGEMENT"},
    {"trash-days",
     "",
     FlagType::integer,
     "1",
     "days a deleted file stays in the trash; 0: no trash",
     "MANAGEMENT",
     {.allowed = "0..36500"}},
    {"enable-acl", "", kBool, "false", "POSIX ACLs; cannot be switched off again", "MANAGEMENT"},
    {"ranger-rest-url", "", kText, "", "Apache Ranger admin URL (kept in the volume)", "MANAGEMENT"},
    {"ranger-service", "", kText, "", "Apache Ranger service name (kept in the volume)", "MANAGEMENT"},
    {"kerberos-config-file", "", kText, "", "Kerberos settings file", "MANAGEMENT", {.effect = kNone}},
    {"force", "", kBool, "false", "replace settings even when they differ", "MANAGEMENT"},
    {"no-update", "", kBool, "false", "succeed silently if the volume exists", "MANAGEMENT"},
};

constexpr Flag kConfig[] = {
    {"storage", "", kText, "file", "kind of object store: file, s3 or minio", "STORAGE", {.needed = true}},
    {"bucket", "", kText, "/var/jfs", "directory or bucket URL of the store", "STORAGE", {.needed = true}},
    {"access-key", "", kText, "", "new access key (the environment is not read)", "STORAGE"},
    {"secret-key", "", kText, "", "new secret key (the environment is not read)", "STORAGE"},
    {"session-token", "", kText, "", "new session token (the environment is not read)", "STORAGE"},
    {"storage-class", "", kText, "", "class of new objects, of tier 0 or of --tier", "STORAGE"},
    {"tag", "", kText, "", "object tag of tier 0 or of --tier", "STORAGE"},
    {"tier", "", FlagType::integer, "0", "tier that storage-class and tag speak of", "STORAGE", {.allowed = "0..3"}},
    {"encrypt-secret", "", kBool, "false", "store the keys encrypted from now on", "STORAGE"},
    {"upload-limit", "", FlagType::rate, "", "upload limit of each client, Mbps", "DATA"},
    {"download-limit", "", FlagType::rate, "", "download limit of each client, Mbps", "DATA"},
    {"capacity",
     "",
     FlagType::size,
     "",
     "limit of the volume's space, bare number in GiB; 0: none",
     "MANAGEMENT",
     {.unit = 'G'}},
    {"inodes", "", FlagType::count, "0", "limit of the volume's inodes; 0: none", "MANAGEMENT"},
    {"trash-days",
     "",
     FlagType::integer,
     "1",
     "days a deleted file stays in the trash; 0: no trash",
     "MANAGEMENT",
     {.allowed = "0..36500"}},
    {"enable-acl", "", kBool, "false", "POSIX ACLs, from the next mount on; cannot be switched off again",
     "MANAGEMENT"},
    {"ranger-rest-url", "", kText, "", "Apache Ranger admin URL", "MANAGEMENT"},
    {"ranger-service", "", kText, "", "Apache Ranger service name", "MANAGEMENT"},
    {"kerberos-config-file", "", kText, "", "Kerberos settings file", "MANAGEMENT", {.effect = kNone}},
    {"min-client-version", "", kText, "", "oldest client allowed; may only rise", "MANAGEMENT"},
    {"max-client-version", "", kText, "", "newest client allowed", "MANAGEMENT"},
    {"dir-stats", "", kBool, "false", "keep the usage of each directory", "MANAGEMENT"},
    {"user-group-quota", "", kBool, "false", "keep the usage of each user and group; switched on while nobody mounts",
     "MANAGEMENT"},
    {"changelog", "", kBool, "false", "record metadata changes", "MANAGEMENT"},
    {"changelog-max-age", "", FlagType::duration, "2h0m0s", "drop change records older than this; 0: never",
     "MANAGEMENT"},
    {"changelog-max-lines",
     "",
     FlagType::integer,
     "0",
     "keep at most this many change records; 0: all",
     "MANAGEMENT",
     {.allowed = "0.."}},
    {"yes", "y", kBool, "false", "do not ask", "MANAGEMENT"},
    {"force", "", kBool, "false", "skip checks and questions", "MANAGEMENT"},
};

constexpr Flag kStatus[] = {
    {"session", "s", FlagType::count, "0", "show one session and the locks it holds", "STATUS"},
    {"more", "m", kBool, "false", "also count what is in the trash and what waits for deletion", "STATUS"},
};

constexpr Flag kInfo[] = {
    {"inode", "i", kBool, "false", "the arguments are inode numbers (of the mount in the working directory)", "INFO"},
    {"recursive", "r", kBool, "false", "sum the whole tree", "INFO"},
    {"strict", "", kBool, "false", "count, instead of using directory statistics", "INFO"},
    {"raw", "", kBool, "false", "show slices instead of objects", "INFO"},
};

constexpr Flag kUmount[] = {
    {"force", "f", kBool, "false", "detach now, even when busy (lazy unmount)", "UMOUNT"},
    {"flush", "", kBool, "false", "first wait until staged blocks are uploaded", "UMOUNT"},
};

constexpr Flag kObjbench[] = {
    {"storage", "", kText, "file", "kind of object store: file, s3 or minio", "STORAGE", {.needed = true}},
    {"access-key", "", kText, "", "access key of the store", "STORAGE", {.env = "ACCESS_KEY"}},
    {"secret-key", "", kText, "", "secret key of the store", "STORAGE", {.env = "SECRET_KEY"}},
    {"session-token", "", kText, "", "session token of the store", "STORAGE", {.env = "SESSION_TOKEN"}},
    {"storage-class", "sc", kText, "", "class of the objects made", "STORAGE"},
    {"shards", "", FlagType::integer, "0", "spread over this many buckets", "STORAGE", {.allowed = "0..256"}},
    {"block-size", "", FlagType::size, "4M", "size of a big object", "LOAD", {.unit = 'K'}},
    {"big-object-size", "", FlagType::size, "1G", "bytes of all big objects together", "LOAD", {.unit = 'M'}},
    {"small-object-size", "", FlagType::size, "128K", "size of a small object", "LOAD", {.unit = 'K'}},
    {"small-objects", "", FlagType::count, "100", "number of small objects", "LOAD"},
    {"threads", "p", FlagType::count, "4", "requests at once", "LOAD"},
    {"skip-functional-tests", "", kBool, "false", "measure only", "LOAD"},
    {"json", "", kBool, "false", "print JSON instead of tables", "OUTPUT"},
};

}  // namespace

Flags global_flags() { return kGlobal; }
Flags format_flags() { return kFormat; }
Flags config_flags() { return kConfig; }
Flags status_flags() { return kStatus; }
Flags info_flags() { return kInfo; }
Flags umount_flags() { return kUmount; }
Flags objbench_flags() { return kObjbench; }

}  // namespace kiseki::cli
