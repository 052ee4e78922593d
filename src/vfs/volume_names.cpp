// Names: lookup, and every operation that makes, moves or removes one.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cerrno>

#include "vfs/internal_files.hpp"
#include "vfs/volume.hpp"

namespace kiseki::vfs {

namespace {

std::error_code bad_name(std::string_view name) {
  if (name.size() > 255) return posix(ENAMETOOLONG);
  if (name.empty()) return posix(ENOENT);
  return {};
}

bool exists(const Result<EntryReply>& found) { return found && found->ino.value != 0; }

bool is_dots(std::string_view name) { return name == "." || name == ".."; }

meta::FileType type_of(std::uint32_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return meta::FileType::directory;
    case S_IFLNK:
      return meta::FileType::symlink;
    case S_IFIFO:
      return meta::FileType::fifo;
    case S_IFBLK:
      return meta::FileType::block_device;
    case S_IFCHR:
      return meta::FileType::char_device;
    case S_IFSOCK:
      return meta::FileType::socket;
    default:
      return meta::FileType::file;
  }
}

}  // namespace

Result<EntryReply> Volume::not_found(std::error_code why) const {
  if (why == posix(ENOENT) && options_.negative_timeout.count() > 0)
    return EntryReply{.ino = {}, .attr = {}, .entry_valid = valid_for(options_.negative_timeout), .attr_valid = {}};
  return why;
}

std::optional<Result<EntryReply>> Volume::lookup_now(Ino parent, std::string_view name) const {
  if (parent == kRootIno && name == meta::Client::kTrashName) return std::nullopt;  // it has no entry
  auto entry = client_.cached_entry(parent, name);
  if (!entry) return std::nullopt;
  if (!*entry) return not_found(posix(ENOENT));
  auto ino = (*entry)->ino;
  auto before = buffered(ino);
  auto attr = client_.cached_attr(ino);
  if (!attr) return std::nullopt;
  return Result<EntryReply>(named(parent, name, entry_reply(ino, *attr, before)));
}

EntryReply Volume::named(Ino parent, std::string_view name, EntryReply reply) const {
  if (client_.engine().lags() && reply.entry_valid.count() > 0) told_names_.told(parent, name);
  return reply;
}

Answer<EntryReply> Volume::lookup(Caller caller, Ino parent, std::string_view name) {
  if (auto bad = bad_name(name)) return bad;
  if (auto internal = internal_by_name(parent, name)) {
    if (is_internal(*internal))
      return Result<EntryReply>(EntryReply{.ino = *internal,
                                           .attr = internal_attr(*internal),
                                           .entry_valid = options_.entry_timeout,
                                           .attr_valid = options_.attr_timeout});
    return lookup_slow(parent, std::string(name));
  }
  if (auto as = who(caller); meta::is_checked(as)) return lookup_checked(as, inside(parent), std::string(name));
  if (is_dots(name))
    return lookup_slow(inside(parent), std::string(name));  // no entries: a cache knows nothing of them
  // Asked while it should still believe, the kernel is about to make the name: a removal just heard of must count.
  bool must_be_right = client_.engine().lags() && told_names_.asked_again(inside(parent), name);
  auto hit = lookup_now(inside(parent), name);
  if (!hit) return lookup_slow(inside(parent), std::string(name));
  if (must_be_right && exists(*hit)) return lookup_again(inside(parent), std::string(name));
  return *std::move(hit);
}

Async<EntryReply> Volume::lookup_again(Ino parent, std::string name) {
  (void)co_await client_.engine().catch_up();  // out of touch: what is known must do
  if (auto hit = lookup_now(parent, name)) co_return *std::move(hit);
  co_return co_await lookup_slow(parent, std::move(name));
}

Async<EntryReply> Volume::lookup_checked(meta::Who who, Ino parent, std::string name) {
  CO_CHECK(co_await meta::access(client_, who, parent, meta::kMayExecute));
  co_return co_await lookup_slow(parent, std::move(name));
}

Async<EntryReply> Volume::lookup_slow(Ino parent, std::string name) {
  if (auto internal = internal_by_name(parent, name)) {
    CO_TRY(auto trash, co_await meta::getattr(client_, *internal));
    co_return entry_reply(*internal, trash, {});
  }
  if (is_dots(name)) {  // asked when a file handle is decoded (NFS export)
    CO_TRY(auto self, co_await meta::getattr(client_, parent));
    if (name == ".") co_return entry_reply(parent, self, {});
    CO_TRY(auto above, co_await meta::getattr(client_, self.parent));
    co_return entry_reply(self.parent, above, {});
  }
  auto ticket = client_.cache().ticket();
  auto found = co_await meta::lookup(client_, parent, name);
  if (!found) co_return not_found(found.error());
  CO_TRY(auto reply, co_await entry_read(*found, ticket));
  co_return named(parent, name, reply);
}

Answer<EntryReply> Volume::mknod(Caller caller, Ino parent, std::string_view name, std::uint32_t mode,
                                 std::uint32_t umask, std::uint32_t rdev) {
  if (auto bad = bad_name(name)) return bad;
  if (auto refused = refuse_change(parent)) return refused;
  if (internal_by_name(parent, name)) return posix(EEXIST);
  meta::NewInode what{.type = type_of(mode),
                      .mode = static_cast<std::uint16_t>(mode & 07777),
                      .umask = umask_of(umask),
                      .rdev = rdev,
                      .target = {}};
  return make(who(caller), inside(parent), std::string(name), std::move(what));
}

Answer<EntryReply> Volume::mkdir(Caller caller, Ino parent, std::string_view name, std::uint32_t mode,
                                 std::uint32_t umask) {
  return mknod(caller, parent, name, (mode & 07777) | S_IFDIR, umask, 0);
}

Answer<EntryReply> Volume::symlink(Caller caller, Ino parent, std::string_view name, std::string_view target) {
  if (auto bad = bad_name(name)) return bad;
  if (auto refused = refuse_change(parent)) return refused;
  if (internal_by_name(parent, name)) return posix(EEXIST);
  meta::NewInode what{
      .type = meta::FileType::symlink, .mode = 0777, .umask = 0, .rdev = 0, .target = std::string(target)};
  return make(who(caller), inside(parent), std::string(name), std::move(what));
}

Async<EntryReply> Volume::make(meta::Who who, Ino parent, std::string name, meta::NewInode what) {
  CO_TRY(auto made, co_await meta::make(client_, who, parent, name, std::move(what)));
  co_return named(parent, name, entry_reply(made.ino, made.attr, {}));
}

Answer<void> Volume::unlink(Caller caller, Ino parent, std::string_view name) {
  if (auto bad = bad_name(name)) return bad;
  if (auto refused = refuse_change(parent)) return refused;
  if (internal_by_name(parent, name)) return posix(EPERM);
  return remove(who(caller), inside(parent), std::string(name), false);
}

Answer<void> Volume::rmdir(Caller caller, Ino parent, std::string_view name) {
  if (auto bad = bad_name(name)) return bad;
  if (auto refused = refuse_change(parent)) return refused;
  if (auto internal = internal_by_name(parent, name)) return posix(is_trash(*internal) ? EPERM : ENOTDIR);
  return remove(who(caller), inside(parent), std::string(name), true);
}

Async<void> Volume::remove(meta::Who who, Ino parent, std::string name, bool directory) {
  if (directory) {
    CO_TRY(auto gone, co_await meta::rmdir(client_, who, parent, std::move(name)));
    removed(gone);
  } else {
    CO_TRY(auto gone, co_await meta::unlink(client_, who, parent, std::move(name)));
    removed(gone);
  }
  co_return Result<void>{};
}

void Volume::removed(const meta::Removed& gone) {
  if (gone.attr.nlink > 0) return;
  nameless_.add(gone.ino, gone.attr);
  bool left_open = options_.resumed && gone.sustained;
  if (left_open) left_open_.add(gone.ino);
  bool still_open =
      open_inodes_.mark_unlinked(gone.ino, gone.sustained ? OpenTable::Fate::sustained : OpenTable::Fate::erased);
  if (!still_open && gone.sustained && !left_open) release_nameless(gone.ino);  // closed meanwhile
}

Answer<void> Volume::rename(Caller caller, Ino from, std::string_view name, Ino to, std::string_view new_name,
                            std::uint32_t flags) {
  for (auto text : {name, new_name})
    if (auto bad = bad_name(text)) return bad;
  for (auto dir : {from, to})
    if (auto refused = refuse_change(dir)) return refused;
  if (internal_by_name(from, name) || internal_by_name(to, new_name)) return posix(EPERM);
  return rename_slow(who(caller), inside(from), std::string(name), inside(to), std::string(new_name), flags);
}

Async<void> Volume::rename_slow(meta::Who who, Ino from, std::string name, Ino to, std::string new_name,
                                std::uint32_t flags) {
  std::vector<std::shared_ptr<DirHandle>> listings;
  if (from == to && !(flags & RENAME_EXCHANGE)) listings = open_listings_.of(from);
  for (auto& listing : listings) listing->shown.moving(name, new_name);
  auto moved = co_await meta::rename(client_, who, from, std::move(name), to, new_name, flags);
  if (!moved || moved->replaced)
    for (auto& listing : listings) listing->shown.not_moved(new_name);
  if (!moved) co_return moved.error();
  if (moved->replaced) removed(*moved->replaced);
  co_return Result<void>{};
}

Answer<EntryReply> Volume::link(Caller caller, Ino ino, Ino to, std::string_view new_name) {
  if (auto bad = bad_name(new_name)) return bad;
  for (auto touched : {ino, to})
    if (auto refused = refuse_change(touched)) return refused;
  if (internal_by_name(to, new_name)) return posix(EEXIST);
  return link_slow(who(caller), inside(ino), inside(to), std::string(new_name));
}

Async<EntryReply> Volume::link_slow(meta::Who who, Ino ino, Ino to, std::string new_name) {
  auto before = buffered(ino);
  CO_TRY(auto linked, co_await meta::link(client_, who, ino, to, new_name));
  co_return named(to, new_name, entry_reply(linked.ino, linked.attr, before));
}

}  // namespace kiseki::vfs
