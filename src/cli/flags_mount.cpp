// Flags of `kiseki mount`.
#include "cli/flag.hpp"

namespace kiseki::cli {
namespace {

constexpr auto kBool = FlagType::boolean;
constexpr auto kText = FlagType::text;
constexpr auto kSize = FlagType::size;
constexpr auto kTime = FlagType::duration;
constexpr auto kInt = FlagType::integer;
constexpr auto kNone = Effect::none_yet;

constexpr Flag kMount[] = {
    {"foreground", "f", kBool, "false", "accepted, changes nothing (it is the default)", "PROCESS", {.hidden = true}},
    {"background", "d", kBool, "false", "return when the mount answers; serve in the background", "PROCESS"},
    {"no-syslog", "", kBool, "false", "do not copy the log to syslog (it never is)", "PROCESS"},
    {"log", "", kText, "/var/log/kiseki.log", "log file of a background mount (users: ~/.kiseki/kiseki.log)", "PROCESS"},
    {"force", "", kBool, "false", "accepted, changes nothing", "PROCESS"},
    {"update-fstab", "", kBool, "false", "write the line for /etc/fstab", "PROCESS", {.effect = kNone}},
    {"disable-transparent-hugepage", "", kBool, "false", "no huge pages for this process", "PROCESS"},
    {"loops", "", FlagType::count, "0", "event loops, each a thread; 0: one per CPU", "PROCESS", {.allowed = "0..256"}},
    {"supervise", "", kBool, "true", "a small process restarts the file system when it dies", "PROCESS"},

    {"o", "", kText, "", "comma list of mount options, as fstab passes them; any flag may stand there", "FILE SYSTEM"},
    {"fuse-transport", "", kText, "auto", "how requests come from the kernel", "FILE SYSTEM", {.allowed = "auto|dev|uring"}},
    {"hide-internal", "", kBool, "false", "do not list internal files", "FILE SYSTEM"},
    {"prefix-internal", "", kBool, "false", "names of internal files start with .jfs", "FILE SYSTEM"},
    {"enable-xattr", "", kBool, "false", "extended attributes", "FILE SYSTEM"},
    {"enable-cap", "", kBool, "false", "let security.capability through", "FILE SYSTEM"},
    {"enable-selinux", "", kBool, "false", "let security.selinux through", "FILE SYSTEM"},
    {"enable-ioctl", "", kBool, "false", "file flags (chattr)", "FILE SYSTEM"},
    {"root-squash", "", kText, "", "act as UID:GID for root", "FILE SYSTEM"},
    {"all-squash", "", kText, "", "act as UID:GID for everybody", "FILE SYSTEM"},
    {"non-default-permission", "", kBool, "false", "check permissions here, not in the kernel", "FILE SYSTEM", {.hidden = true}},
    {"max-fuse-io", "", kSize, "1M", "largest request of the kernel", "FILE SYSTEM", {.allowed = "4K..16M"}},
    {"umask", "", FlagType::octal, "", "umask that replaces the caller's", "FILE SYSTEM", {.allowed = "0..0777"}},

    {"subdir", "", kText, "", "use this directory of the volume as root; made if missing", "METADATA"},
    {"read-only", "", kBool, "false", "refuse every change, register no session", "METADATA"},
    {"backup-meta", "", kTime, "1h", "interval of metadata backups; 0: none", "METADATA",
     {.about_env = "SKIP_BACKUP_META_CHECK", .effect = kNone}},
    {"backup-skip-trash", "", kBool, "false", "metadata backups without the trash", "METADATA", {.effect = kNone}},
    {"heartbeat", "", kTime, "12s", "interval at which the session says it is alive", "METADATA"},
    {"no-bgjob", "", kBool, "false", "no background cleaning", "METADATA"},
    {"atime-mode", "", kText, "noatime", "when reading updates the access time", "METADATA",
     {.allowed = "noatime|relatime|strictatime"}},
    {"skip-dir-nlink", "", kInt, "20", "tries before a directory's link count is left (nothing to skip here)", "METADATA",
     {.allowed = "0.."}},
    {"skip-dir-mtime", "", kTime, "100ms", "times of a directory may lag by this much", "METADATA"},
    {"sort-dir", "", kBool, "false", "list directories in the order of names", "METADATA", {.effect = kNone}},
    {"fast-statfs", "", kBool, "false", "statfs from local counters", "METADATA", {.effect = kNone}},
    {"network-interfaces", "", kText, "", "interfaces whose addresses the session reports", "METADATA", {.effect = kNone}},

    {"attr-cache", "", kTime, "1.0s", "how long the kernel keeps attributes", "KERNEL CACHE"},
    {"entry-cache", "", kTime, "1.0s", "how long the kernel keeps names of files", "KERNEL CACHE"},
    {"dir-entry-cache", "", kTime, "1.0s", "how long the kernel keeps names of directories", "KERNEL CACHE"},
    {"negative-entry-cache", "", kTime, "", "how long the kernel remembers that a name is missing", "KERNEL CACHE"},
    {"readdir-cache", "", kBool, "false", "the kernel keeps directory listings", "KERNEL CACHE"},
    {"open-cache", "", kTime, "0s", "open again without asking the metadata for this long; 0: off", "KERNEL CACHE",
     {.effect = kNone}},
    {"open-cache-limit", "", FlagType::count, "10000", "files in the open cache; 0: no limit", "KERNEL CACHE", {.effect = kNone}},

    {"storage", "", kText, "", "replaces the volume's kind of store", "STORAGE"},
    {"bucket", "", kText, "", "replaces the volume's bucket", "STORAGE"},
    {"storage-class", "", kText, "", "class of the objects this client writes", "STORAGE", {.effect = kNone}},
    {"tag", "", kText, "", "tag of the objects this client writes", "STORAGE", {.effect = kNone}},
    {"get-timeout", "", kTime, "60s", "limit of one download", "STORAGE"},
    {"put-timeout", "", kTime, "60s", "limit of one upload", "STORAGE"},
    {"io-retries", "", kInt, "10", "tries of an operation on the store", "STORAGE", {.allowed = "0..1000"}},
    {"max-uploads", "", kInt, "20", "uploads at a time", "STORAGE", {.allowed = "1..10000"}},
    {"max-downloads", "", kInt, "200", "downloads at a time", "STORAGE", {.allowed = "1..10000"}},
    {"max-stage-write", "", kInt, "1000", "staging writes at a time", "STORAGE", {.allowed = "0..100000", .effect = kNone}},
    {"max-deletes", "", kInt, "10", "deletions at a time; 0: delete nothing", "STORAGE", {.allowed = "0..10000"}},
    {"upload-limit", "", FlagType::rate, "", "upload limit, Mbps", "STORAGE", {.effect = kNone}},
    {"download-limit", "", FlagType::rate, "", "download limit, Mbps", "STORAGE", {.effect = kNone}},
    {"check-storage", "", kBool, "false", "test the store before mounting", "STORAGE"},

    {"buffer-size", "", kSize, "300M", "memory of buffers and caches, bare number in MiB", "MEMORY",
     {.allowed = "16M..1P", .unit = 'M'}},
    {"max-readahead", "", kSize, "", "read-ahead of one reader, bare number in MiB (default: 8 blocks)", "MEMORY", {.unit = 'M'}},
    {"prefetch", "", kInt, "1", "blocks fetched around a random read", "MEMORY", {.allowed = "0..1000", .effect = kNone}},

    {"writeback", "", kBool, "false", "acknowledge after staging on the local disk", "DISK CACHE", {.effect = kNone}},
    {"writeback-threshold-size", "", kSize, "0", "stage only smaller blocks; 0: all", "DISK CACHE", {.effect = kNone}},
    {"upload-delay", "", kTime, "0s", "staged blocks wait this long", "DISK CACHE", {.effect = kNone}},
    {"upload-hours", "", kText, "", "hours of the day (START-END) for staged uploads", "DISK CACHE", {.effect = kNone}},
    {"cache-dir", "", kText, "/var/jfsCache", "\"memory\": cache blocks in memory beside --buffer-size; directories: only searched for staged blocks yet", "DISK CACHE",
     {.about_env = "JFS_DROP_OSCACHE"}},
    {"cache-mode", "", FlagType::octal, "0600", "mode of cache files", "DISK CACHE", {.effect = kNone}},
    {"cache-size", "", kSize, "100G", "size of the cache with --cache-dir memory, bare number in MiB", "DISK CACHE", {.unit = 'M'}},
    {"cache-items", "", kInt, "0", "files in the disk cache; 0: as many as fit", "DISK CACHE", {.allowed = "0..", .effect = kNone}},
    {"free-space-ratio", "", FlagType::ratio, "0.1", "share of the cache disk that stays free", "DISK CACHE", {.effect = kNone}},
    {"cache-partial-only", "", kBool, "false", "cache small and random reads only", "DISK CACHE", {.effect = kNone}},
    {"cache-large-write", "", kBool, "false", "cache full blocks after their upload", "DISK CACHE", {.effect = kNone}},
    {"verify-cache-checksum", "", kText, "extend", "which cached bytes are verified", "DISK CACHE",
     {.allowed = "none|full|shrink|extend", .effect = kNone}},
    {"cache-eviction", "", kText, "2-random", "who leaves a full cache", "DISK CACHE",
     {.allowed = "none|2-random|lru", .effect = kNone}},
    {"cache-scan-interval", "", kTime, "1h", "interval at which the cache directory is read again", "DISK CACHE", {.effect = kNone}},
    {"cache-expire", "", kTime, "0s", "drop cached blocks unused for this long; 0: never", "DISK CACHE", {.effect = kNone}},

    {"metrics", "", kText, "127.0.0.1:9567", "address of the Prometheus page /metrics", "METRICS"},
    {"custom-labels", "", kText, "", "further metric labels, NAME:VALUE;NAME:VALUE", "METRICS", {.effect = kNone}},
    {"consul", "", kText, "127.0.0.1:8500", "register the metrics address with this Consul", "METRICS", {.effect = kNone}},
    {"no-usage-report", "", kBool, "false", "send no usage report (none ever is)", "METRICS"},
};

}  // namespace

Flags mount_flags() { return kMount; }

}  // namespace kiseki::cli
