#include "fuse/op_meter.hpp"

#include <cstring>
#include <string>
#include <utility>

#include "fuse/abi.hpp"

namespace kiseki::fuse {

namespace {

constexpr std::pair<std::uint32_t, const char*> kNames[] = {
    {FUSE_LOOKUP, "lookup"},
    {FUSE_GETATTR, "getattr"},
    {FUSE_SETATTR, "setattr"},
    {FUSE_READLINK, "readlink"},
    {FUSE_SYMLINK, "symlink"},
    {FUSE_MKNOD, "mknod"},
    {FUSE_MKDIR, "mkdir"},
    {FUSE_UNLINK, "unlink"},
    {FUSE_RMDIR, "rmdir"},
    {FUSE_RENAME, "rename"},
    {FUSE_RENAME2, "rename"},
    {FUSE_LINK, "link"},
    {FUSE_OPEN, "open"},
    {FUSE_READ, "read"},
    {FUSE_WRITE, "write"},
    {FUSE_STATFS, "statfs"},
    {FUSE_RELEASE, "release"},
    {FUSE_FSYNC, "fsync"},
    {FUSE_SETXATTR, "setxattr"},
    {FUSE_GETXATTR, "getxattr"},
    {FUSE_LISTXATTR, "listxattr"},
    {FUSE_REMOVEXATTR, "removexattr"},
    {FUSE_FLUSH, "flush"},
    {FUSE_OPENDIR, "opendir"},
    {FUSE_READDIR, "readdir"},
    {FUSE_READDIRPLUS, "readdir"},
    {FUSE_RELEASEDIR, "releasedir"},
    {FUSE_FSYNCDIR, "fsyncdir"},
    {FUSE_GETLK, "getlk"},
    {FUSE_SETLK, "setlk"},
    {FUSE_SETLKW, "setlk"},
    {FUSE_ACCESS, "access"},
    {FUSE_CREATE, "create"},
    {FUSE_IOCTL, "ioctl"},
    {FUSE_FALLOCATE, "fallocate"},
    {FUSE_LSEEK, "lseek"},
    {FUSE_COPY_FILE_RANGE, "copy_file_range"},
};

}  // namespace

OpMeter& OpMeter::of_process() {
  static OpMeter meter;
  return meter;
}

OpMeter::OpMeter() {
  for (auto [opcode, name] : kNames) ops_[opcode] = {&all_.fuse_ops.with({name}), &all_.fuse_ops_seconds.with({name})};
}

void OpMeter::answered(std::uint32_t opcode, int error, std::chrono::nanoseconds took) noexcept {
  if (opcode >= ops_.size() || ops_[opcode].count == nullptr) return;
  ops_[opcode].count->add();
  ops_[opcode].seconds->add(took);
  all_.fuse_ops_durations.observe(took);
  if (error > 0) failed(error);
}

void OpMeter::failed(int error) {
  auto slot = static_cast<std::size_t>(error) % errors_.size();
  auto* counter = errors_[slot].load(std::memory_order_acquire);
  if (counter == nullptr) {
    const char* name = ::strerrorname_np(error);
    counter = &all_.fuse_io_errors.with({name ? std::string_view(name) : "EIO"});
    errors_[slot].store(counter, std::memory_order_release);
  }
  counter->add();
}

}  // namespace kiseki::fuse
