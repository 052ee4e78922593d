#include "vfs/volume.hpp"

#include <algorithm>
#include <cerrno>

#include "vfs/internal_files.hpp"

namespace kiseki::vfs {

Volume::Volume(meta::Client& client, FileData& data, asio::any_io_executor background, VolumeOptions options)
    : client_(client),
      data_(data),
      options_(std::move(options)),
      mounted_(client.clock().now()),
      background_(background),
      late_releases_(background) {
  client_.set_open_inodes(this);
  client_.cache().watch_slices([this](Ino ino) { data_.invalidate(ino); });
  data_.watch_moves([this](Ino ino) {
    if (auto* kernel = kernel_.load()) kernel->forget_data(outside(ino), 0, 0);
  });
  if (!options_.resumed) return;
  for (auto ino : *options_.resumed) left_open_.add(ino);
}

Volume::~Volume() {
  client_.cache().watch_slices({});
  data_.watch_moves({});
  client_.set_open_inodes(nullptr);
}

std::shared_ptr<const void> Volume::keep_closed(Ino ino) const { return options_.resumed ? nullptr : erasing(ino); }

// Said first, looked up then; an open counts first and looks then: one of the two sees the other.
std::shared_ptr<const void> Volume::erasing(Ino ino) const {
  removals_.begin(ino);
  std::shared_ptr<const void> held(this, [this, ino](const void*) { removals_.end(ino); });
  return open_inodes_.contains(ino) ? nullptr : held;
}

meta::Who Volume::who(Caller caller) const {
  // Who is somebody else here is checked here: the kernel knows only whom he is there.
  if (options_.all_squash) return {options_.all_squash->uid, options_.all_squash->gid, true};
  if (options_.root_squash && caller.uid == 0) return {options_.root_squash->uid, options_.root_squash->gid, true};
  return {caller.uid, caller.gid, options_.check_permissions};
}

std::uint16_t Volume::umask_of(std::uint32_t asked) const {
  return options_.umask.value_or(static_cast<std::uint16_t>(asked & 07777));
}

AttrReply Volume::attr_reply(Ino ino, const Attr& attr, const Buffered& before) const {
  auto shown = attr;
  if (attr.is_file() && before.end && *before.end > attr.length) shown.length = *before.end;
  if (attr.is_file() && before.mtime) {
    // utimes waits for what is buffered: a future mtime was set before this write, as was one older than the write's
    // ctime.
    bool written_since = *before.mtime > attr.mtime || *before.mtime > attr.ctime || attr.mtime > client_.clock().now();
    if (written_since) shown.mtime = *before.mtime;
    if (written_since) shown.ctime = std::max(attr.ctime, *before.mtime);  // something else may have changed it since
  }
  if (attr.is_file()) told_.told(ino, shown);
  return {.ino = outside(ino), .attr = shown, .attr_valid = valid_for(options_.attr_timeout)};
}

EntryReply Volume::entry_reply(Ino ino, const Attr& attr, const Buffered& before) const {
  auto told = attr_reply(ino, attr, before);
  return {.ino = told.ino,
          .attr = told.attr,
          .entry_valid = valid_for(attr.is_dir() ? options_.dir_entry_timeout : options_.entry_timeout),
          .attr_valid = told.attr_valid};
}

bool Volume::nothing_changed(meta::RecordCache::Ticket since) const {
  auto now = client_.cache().ticket();
  return now.sequence == since.sequence && now.generation == since.generation;
}

bool Volume::still_named(Ino dir, std::string_view name, Ino ino, meta::RecordCache::Ticket since) const {
  if (nothing_changed(since)) return true;
  auto known = client_.cache().guess_entry(dir, name);
  return known && known->value && known->value->ino == ino;
}

std::optional<EntryReply> Volume::entry_since(Ino ino, const Attr& attr, meta::RecordCache::Ticket since) const {
  auto before = buffered(ino);
  if (!nothing_changed(since)) {
    auto known = client_.cache().guess_attr(ino);
    if (!known || known->value != attr) return std::nullopt;
  }
  return entry_reply(ino, attr, before);
}

Async<EntryReply> Volume::entry_read(meta::InodeEntry entry, meta::RecordCache::Ticket since) {
  if (auto now = entry_since(entry.ino, entry.attr, since)) co_return *now;
  auto before = buffered(entry.ino);
  CO_TRY(auto attr, co_await meta::getattr(client_, entry.ino));
  co_return entry_reply(entry.ino, attr, before);
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
void Volume::forget(Ino kernel, std::uint64_t) {
  Ino ino = inside(kernel);
  nameless_.forget(ino);
  if (left_open_.take(ino) && !open_inodes_.contains(ino)) release_nameless(ino);
}

asio::awaitable<void> Volume::destroyed() {
  co_await late_releases_.close();  // locks end with the session
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
