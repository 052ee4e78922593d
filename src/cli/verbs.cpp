#include <algorithm>

#include "cli/verb.hpp"

namespace kiseki::cli {
namespace {

Flags no_flags() { return {}; }

constexpr Verb kVerbs[] = {
    {.name = "format",
     .arguments = "META-URL NAME",
     .summary = "make a volume",
     .about = "Makes the volume NAME: its metadata at META-URL (sqlite3://PATH or redis://HOST[:PORT]/DB), its data in "
              "the object\n"
              "store given by --storage and --bucket. The store is tested first, and nothing is left behind when "
              "something\n"
              "fails. Given again for the same volume, it changes the settings named by flags. NAME: 3 to 63 of a-z "
              "0-9 and -, not at the ends.",
     .examples = "  kiseki format sqlite3:///srv/v.db myvol --bucket /srv/objects\n"
                 "  kiseki format sqlite3:///srv/v.db myvol --bucket /srv/objects --trash-days 7 --capacity 100G\n"
                 "  kiseki format redis://10.0.0.1/1 shared --bucket /nfs/objects\n"
                 "  kiseki format sqlite3://v.db small --block-size 1M --no-update\n"
                 "  kiseki format sqlite3://v.db cloud --storage s3 --bucket https://HOST/BUCKET --access-key KEY "
                 "--secret-key SECRET\n",
     .least = 2,
     .most = 2,
     .flags = format_flags,
     .run = run_format},
    {.name = "mount",
     .arguments = "[META-URL] MOUNTPOINT",
     .summary = "mount a volume",
     .about = "Mounts a volume and serves it, in the foreground until it is unmounted or told to end (SIGTERM, "
              "Ctrl-C), or in the\n"
              "background with -d, which returns when the mount answers. Without META-URL it is the default volume of "
              "this user:\n"
              "metadata in ~/.kiseki/default.db, data below ~/.kiseki/data/, made on first use.",
     .examples =
         "  kiseki mount ~/k -d\n"
         "  kiseki mount sqlite3:///srv/v.db /mnt/v -d --buffer-size 1G\n"
         "  kiseki mount sqlite3:///srv/v.db /mnt/v --read-only --enable-xattr\n"
         "  kiseki mount redis://10.0.0.1/1 /mnt/shared -d\n"
         "  kiseki mount -o remount,ro /mnt/v\n"
         "  sqlite3:///srv/v.db  /mnt/v  kiseki  _netdev,nofail,buffer-size=1G  0 0        (a line of /etc/fstab)\n",
     .least = 1,
     .most = 2,
     .flags = mount_flags,
     .run = run_mount},
    {.name = "umount",
     .arguments = "MOUNTPOINT",
     .summary = "unmount a volume",
     .about = "Unmounts. The serving process writes out what it still holds and ends by itself.",
     .examples = "  kiseki umount ~/k\n"
                 "  kiseki umount --force /mnt/v\n",
     .least = 1,
     .most = 1,
     .flags = umount_flags,
     .run = run_umount},
    {.name = "status",
     .arguments = "META-URL",
     .summary = "show a volume's settings, sessions and usage",
     .about = "Prints JSON: the settings (secrets removed), the mounted sessions, and the usage of the volume.",
     .examples = "  kiseki status sqlite3:///srv/v.db\n"
                 "  kiseki status sqlite3:///srv/v.db --more\n"
                 "  kiseki status sqlite3:///srv/v.db --session 3\n",
     .least = 1,
     .most = 1,
     .flags = status_flags,
     .run = run_status},
    {.name = "info",
     .arguments = "PATH|INODE...",
     .summary = "show what a file or directory of a mount is made of",
     .about = "Asks the mount that serves the path: inode, sizes, paths, the objects that hold a file's data, locks.",
     .examples = "  kiseki info /mnt/v/dir/file\n"
                 "  kiseki info --recursive --strict /mnt/v/dir\n"
                 "  cd /mnt/v && kiseki info --inode 42\n",
     .least = 1,
     .most = 1'000'000,
     .flags = info_flags,
     .run = run_info},
    {.name = "config",
     .arguments = "META-URL",
     .summary = "show or change a volume's settings",
     .about = "Without flags prints the settings (secrets removed). With flags changes them, one line each; mounted "
              "clients follow at\n"
              "their next heartbeat. What could hurt asks first.",
     .examples = "  kiseki config sqlite3:///srv/v.db\n"
                 "  kiseki config sqlite3:///srv/v.db --capacity 100G --trash-days 7\n"
                 "  kiseki config sqlite3:///srv/v.db --bucket /new/place --yes\n",
     .least = 1,
     .most = 1,
     .flags = config_flags,
     .outside_values = false,
     .run = run_config},
    {.name = "objbench",
     .arguments = "ENDPOINT",
     .summary = "try an object store and measure it",
     .about =
         "First a table of what every request of a store must do, then how fast it does it: uploads, downloads, small "
         "objects,\n"
         "listings. ENDPOINT is what --bucket would be. Everything made is below __juicefs_benchmark_TIME__/ and goes "
         "away again.\n"
         "Exits 1 when a test failed.",
     .examples = "  kiseki objbench /srv/objects\n"
                 "  kiseki objbench --storage s3 https://s3.eu-west-1.amazonaws.com/bucket --threads 16 --json\n",
     .least = 1,
     .most = 1,
     .flags = objbench_flags,
     .run = run_objbench},
    {.name = "mdtest",
     .arguments = "META-URL PATH",
     .summary = "measure a metadata engine",
     .about = "Makes directories and files below PATH of a volume through its metadata alone, without a mount and "
              "without data,\n"
              "and says how fast. What it made stays.",
     .examples = "  kiseki mdtest redis://localhost /test1\n"
                 "  kiseki mdtest redis://localhost /test2 --threads 64 --depth 1 --dirs 10 --files 100\n",
     .least = 2,
     .most = 2,
     .flags = mdtest_flags,
     .outside_values = false,
     .hidden = true,
     .run = run_mdtest},
    {.name = "version",
     .arguments = "",
     .summary = "show the version",
     .about = "Prints the version of this program and that of JuiceFS whose volumes it reads and writes.",
     .examples = "  kiseki version\n",
     .least = 0,
     .most = 0,
     .flags = no_flags,
     .run = run_version},
    {.name = "probe",
     .arguments = "",
     .summary = "tell whether this build can run here",
     .about = "Exits 0 when io_uring may be used (or this is the epoll build), else says what to do and exits 1.",
     .examples = "  kiseki probe\n",
     .least = 0,
     .most = 0,
     .flags = no_flags,
     .hidden = true,
     .run = run_probe},
};

}  // namespace

std::span<const Verb> verbs() { return kVerbs; }

const Verb* find_verb(std::string_view name) {
  auto at = std::ranges::find(kVerbs, name, &Verb::name);
  return at == std::end(kVerbs) ? nullptr : at;
}

}  // namespace kiseki::cli
