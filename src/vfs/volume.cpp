#include "vfs/volume.hpp"

#include <cerrno>

#include "vfs/internal_files.hpp"

namespace kiseki::vfs {

Volume::Volume(meta::Client& client, FileData& data, asio::any_io_executor background, VolumeOptions options)
    : client_(client),
      data_(data),
      options_(std::move(options)),
      mounted_(client.clock().now()),
      background_(std::move(background)) {
  client_.set_open_inodes(this);
}

Volume::~Volume() { client_.set_open_inodes(nullptr); }

meta::Who Volume::who(Caller caller) const {
  // Who is somebody else here is checked here: the kernel knows only whom he is there.
  if (options_.all_squash) return {options_.all_squash->uid, options_.all_squash->gid, true};
  if (options_.root_squash && caller.uid == 0) return {options_.root_squash->uid, options_.root_squash->gid, true};
  return {caller.uid, caller.gid, options_.check_permissions};
}

std::uint16_t Volume::umask_of(std::uint32_t asked) const {
  return options_.umask.value_or(static_cast<std::uint16_t>(asked & 07777));
}

Attr Volume::shown(Ino ino, Attr attr) const {
  if (!attr.is_file()) return attr;
  if (auto end = data_.pending_length(ino); end && *end > attr.length) attr.length = *end;
  if (auto mtime = data_.pending_mtime(ino); mtime && *mtime > attr.mtime) attr.mtime = attr.ctime = *mtime;
  return attr;
}

AttrReply Volume::attr_reply(Ino ino, const Attr& attr) const {
  return {.ino = outside(ino), .attr = shown(ino, attr), .attr_valid = options_.attr_timeout};
}

EntryReply Volume::entry_reply(Ino ino, const Attr& attr) const {
  return {.ino = outside(ino),
          .attr = shown(ino, attr),
          .entry_valid = attr.is_dir() ? options_.dir_entry_timeout : options_.entry_timeout,
          .attr_valid = options_.attr_timeout};
}

void Volume::mode_changed(Ino ino) const {
  if (auto* kernel = kernel_.load()) kernel->forget_attr(outside(ino));
}

std::error_code Volume::refuse_change(Ino ino) const {
  if (is_internal(ino)) return posix(EPERM);
  if (options_.read_only) return posix(EROFS);
  return {};
}

// Numbers of inodes are all the kernel holds of us, but for those without names. They are never looked up again: one
// FORGET is the last.
void Volume::forget(Ino ino, std::uint64_t) { nameless_.forget(inside(ino)); }

asio::awaitable<void> Volume::destroyed() {
  co_await background_.join();
  auto flushed = co_await data_.close();
  if (!flushed)
    log::error("volume.close",
               {{"error", flushed.error()}, {"remedy", "data written last may be lost; see the lines above"}});
  for (Ino ino : open_inodes_.unlinked()) (void)co_await meta::release_sustained(client_, ino);
  co_await background_.close();
}

Answer<StatfsReply> Volume::statfs(Caller, Ino) { return statfs_slow(); }

Async<StatfsReply> Volume::statfs_slow() {
  CO_TRY(auto usage, co_await meta::usage(client_));
  co_return StatfsReply{.total_bytes = usage.total_bytes,
                        .available_bytes = usage.available_bytes,
                        .total_inodes = usage.used_inodes + usage.available_inodes,
                        .available_inodes = usage.available_inodes};
}

}  // namespace kiseki::vfs
