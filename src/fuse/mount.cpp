#include "fuse/mount.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>

#include "core/log.hpp"
#include "fuse/fusermount.hpp"
#include "fuse/mount_table.hpp"

namespace kiseki::fuse {
namespace {

constexpr const char* kDevice = "/dev/fuse";

MountError dead(const std::string& path) {
  return {ENOTCONN,
          fmt::format("{} is a mount whose server has died: unmount it first (umount -l {}, or fusermount3 -u -z {})",
                      path, path, path)};
}

std::optional<MountError> check_mountpoint(const std::string& path, struct stat& info) {
  if (::stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return std::nullopt;
    return MountError{ENOTDIR, fmt::format("{} is not a directory: a mount needs one", path)};
  }
  switch (errno) {
    case ENOENT:
      return MountError{ENOENT, fmt::format("{} does not exist: make it first (mkdir -p {})", path, path)};
    case ENOTCONN:
    case ECONNABORTED:
      return dead(path);
    case EACCES:
      return MountError{EACCES, fmt::format("{} is not open to you: permission denied on its path", path)};
    default:
      return MountError{errno, fmt::format("{}: {}", path, posix(errno).message())};
  }
}

/// A second FUSE mount on the same directory would hide the first, which nobody wants. Other mounts may well be there.
std::optional<MountError> check_not_mounted(const std::string& mountpoint) {
  auto there = mounted_at(mountpoint);
  if (!there || !there->type.starts_with("fuse")) return std::nullopt;
  struct statfs answer{};
  if (::statfs(mountpoint.c_str(), &answer) != 0 && errno == ENOTCONN)
    return dead(mountpoint);  // stat was still cached
  return MountError{
      EBUSY, fmt::format("{} is busy: {} is already mounted there (umount {})", mountpoint, there->source, mountpoint)};
}

MountError device_error(int code) {
  switch (code) {
    case ENOENT:
    case ENXIO:
    case ENODEV:
      return {code,
              fmt::format("{} is missing: load the module (modprobe fuse), or give the container the device", kDevice)};
    case EACCES:
    case EPERM:
      return {code,
              fmt::format("{} is closed to this user: its mode should be 0666 (chmod 666 {} as root), or mount as root",
                          kDevice, kDevice)};
    default:
      return {code, fmt::format("{}: {}", kDevice, posix(code).message())};
  }
}

MountError refused(int code, const std::string& mountpoint) {
  switch (code) {
    case EBUSY:
      return {code, fmt::format("{} is busy: something is already mounted there", mountpoint)};
    case EPERM:
    case EACCES:
      return {code,
              fmt::format("mount on {} is not permitted: it needs CAP_SYS_ADMIN (in a container: --cap-add SYS_ADMIN "
                          "--device /dev/fuse)",
                          mountpoint)};
    case ENODEV:
      return {code, "this kernel has no FUSE: load the module (modprobe fuse)"};
    case EINVAL:
      return {code, fmt::format("the kernel refused the mount options for {}", mountpoint)};
    default:
      return {code, fmt::format("mount on {}: {}", mountpoint, posix(code).message())};
  }
}

struct FlagWord {
  std::string_view word;
  unsigned long flag;
  bool on;
};
constexpr FlagWord kFlagWords[] = {{"ro", MS_RDONLY, true},           {"rw", MS_RDONLY, false},
                                   {"nosuid", MS_NOSUID, true},       {"suid", MS_NOSUID, false},
                                   {"nodev", MS_NODEV, true},         {"dev", MS_NODEV, false},
                                   {"noexec", MS_NOEXEC, true},       {"exec", MS_NOEXEC, false},
                                   {"noatime", MS_NOATIME, true},     {"atime", MS_NOATIME, false},
                                   {"relatime", MS_NOATIME, false},   {"strictatime", MS_NOATIME, false},
                                   {"sync", MS_SYNCHRONOUS, true},    {"async", MS_SYNCHRONOUS, false},
                                   {"dirsync", MS_DIRSYNC, true},     {"nodiratime", MS_NODIRATIME, true},
                                   {"diratime", MS_NODIRATIME, false}};

/// `flags` after the words; the last of each kind counts, as with mount(8). Other words change nothing.
unsigned long with_words(unsigned long flags, const std::vector<std::string>& words) {
  for (const auto& word : words)
    for (const auto& one : kFlagWords)
      if (word == one.word) flags = one.on ? flags | one.flag : flags & ~one.flag;
  return flags;
}

unsigned long flags_of(const MountOptions& options) {
  return with_words(MS_NOSUID | MS_NODEV | MS_NOATIME, options.words);
}

std::variant<Mounted, MountError> mount_as_root(const std::string& mountpoint, const MountOptions& options,
                                                mode_t root_mode) {
  UniqueFd device(::open(kDevice, O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!device) return device_error(errno);
  auto data = fmt::format("fd={},rootmode={:o},user_id={},group_id={}", device.get(), root_mode & S_IFMT, ::getuid(),
                          ::getgid());
  if (auto more = filesystem_options(options); !more.empty()) data += "," + more;
  auto type = options.subtype.empty() ? std::string("fuse") : "fuse." + options.subtype;
  if (::mount(options.source.c_str(), mountpoint.c_str(), type.c_str(), flags_of(options), data.c_str()) != 0) {
    return refused(errno, mountpoint);
  }
  return Mounted{std::move(device), mountpoint};
}

/// The flags a mount has now; ST_* of statvfs(3) and MS_* of mount(2) are the same bits for these.
Result<unsigned long> flags_now(const std::string& mountpoint) {
  struct statvfs now{};
  if (::statvfs(mountpoint.c_str(), &now) != 0) return posix(errno);
  unsigned long known = 0;
  for (const auto& one : kFlagWords) known |= one.flag;
  return now.f_flag & known;
}

void append(std::string& list, std::string_view one) {
  if (!list.empty()) list += ',';
  list += one;
}

/// A value inside a comma-separated list, as fusermount3 reads it.
std::string escaped(std::string_view value) {
  std::string out;
  for (char c : value) {
    if (c == ',' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::string filesystem_options(const MountOptions& options) {
  std::string out;
  if (options.allow_other) append(out, "allow_other");
  if (options.default_permissions) append(out, "default_permissions");
  if (options.max_read != 0) append(out, fmt::format("max_read={}", options.max_read));
  return out;
}

std::string fusermount_options(const MountOptions& options) {
  auto out = filesystem_options(options);
  append(out, "fsname=" + escaped(options.source));
  if (!options.subtype.empty()) append(out, "subtype=" + escaped(options.subtype));
  auto flags = flags_of(options);
  append(out, flags & MS_RDONLY ? "ro" : "rw");
  append(out, flags & MS_NOEXEC ? "noexec" : "exec");  // nosuid and nodev it sets itself
  for (const auto& one : kFlagWords)                   // nodiratime it does not know; noatime includes that
    if (one.on && (flags & one.flag & (MS_NOATIME | MS_SYNCHRONOUS | MS_DIRSYNC))) append(out, one.word);
  return out;
}

std::variant<Mounted, MountError> mount(const std::string& mountpoint, const MountOptions& options) {
  struct stat info{};
  if (auto error = check_mountpoint(mountpoint, info)) return *error;
  std::error_code unresolved;
  auto absolute = std::filesystem::canonical(mountpoint, unresolved).string();
  if (unresolved) absolute = mountpoint;
  if (auto error = check_not_mounted(absolute)) return *error;
  if (::geteuid() == 0) return mount_as_root(absolute, options, info.st_mode);
  if (::access(kDevice, R_OK | W_OK) != 0) return device_error(errno);
  if ((flags_of(options) & (MS_NODIRATIME | MS_NOATIME)) == MS_NODIRATIME)
    log::warn(
        "mount.option_without_effect",
        {{"option", "nodiratime"}, {"why", "fusermount3 does not know it"}, {"remedy", "noatime, or mount as root"}});
  return fusermount(absolute, options);
}

Result<void> remount(const std::string& mountpoint, const std::vector<std::string>& words) {
  auto flags = flags_now(mountpoint);
  if (!flags) return flags.error();
  auto wanted = MS_REMOUNT | with_words(*flags, words);
  if (::mount(nullptr, mountpoint.c_str(), nullptr, wanted, nullptr) != 0) return posix(errno);
  return {};
}

Result<void> unmount(const std::string& mountpoint, bool lazy) {
  if (::geteuid() != 0) return fusermount_unmount(mountpoint, lazy);
  if (::umount2(mountpoint.c_str(), UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) != 0) return posix(errno);
  return {};
}

Result<void> set_read_ahead(const std::string& mountpoint, std::uint32_t kib) {
  struct stat info{};
  if (::stat(mountpoint.c_str(), &info) != 0) return posix(errno);
  auto path = fmt::format("/sys/class/bdi/{}:{}/read_ahead_kb", major(info.st_dev), minor(info.st_dev));
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return posix(errno);
  auto text = std::to_string(kib);
  if (::write(file.get(), text.data(), text.size()) < 0) return posix(errno);
  return {};
}

}  // namespace kiseki::fuse
