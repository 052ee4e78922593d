// Open files: open to release, reads and writes.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/guard.hpp"
#include "vfs/internal_files.hpp"
#include "vfs/volume.hpp"

namespace kiseki::vfs {

namespace {

bool writes(std::uint32_t flags) { return (flags & O_ACCMODE) != O_RDONLY; }
bool changes(std::uint32_t flags) { return writes(flags) || (flags & O_TRUNC); }

std::uint32_t access_of(std::uint32_t flags) {
  constexpr std::uint32_t kForExec = 040;  // FMODE_EXEC, which the kernel sends along
  if (flags & kForExec) return meta::kMayExecute;
  std::uint32_t mask = (flags & O_ACCMODE) != O_WRONLY ? meta::kMayRead : 0;
  return changes(flags) ? mask | meta::kMayWrite : mask;
}

std::error_code refuse_open(const Attr& attr, std::uint32_t flags) {
  if (attr.is_dir()) return posix(EISDIR);
  if (!writes(flags)) return {};
  if (attr.flags & meta::kImmutable) return posix(EPERM);
  if ((attr.flags & meta::kAppendOnly) && (!(flags & O_APPEND) || (flags & O_TRUNC))) return posix(EPERM);
  return {};
}

}  // namespace

// ---- open and close ---------------------------------------------------------------------------------------------

Answer<OpenReply> Volume::open(Caller caller, Ino kernel, std::uint32_t flags, bool kill_suidgid) {
  if (is_internal(kernel)) return open_internal(caller, kernel, flags);
  if (options_.read_only && changes(flags)) return posix(EROFS);
  Ino ino = inside(kernel);
  open_inodes_.add(ino);  // first: an unlink from now on must sustain the inode
  bool behind = removals_.any(ino) ? changes(flags) : client_.engine().lags();
  if (!(flags & O_TRUNC) && !behind && !meta::is_checked(who(caller)))
    if (auto hit = client_.cached_attr(ino)) {
      if (auto refused = refuse_open(*hit, flags)) return drop_open(ino), refused;
      return Result<OpenReply>(add_handle(ino, flags, *hit));
    }
  return or_stale(open_slow(who(caller), ino, flags, kill_suidgid));
}

Async<OpenReply> Volume::open_slow(meta::Who who, Ino ino, std::uint32_t flags, bool kill_suidgid) {
  auto counted = Guard([this, ino] { drop_open(ino); });  // however this ends without a handle, cancelled too
  if (changes(flags)) CO_CHECK(co_await removals_.gone(ino));
  auto attr = co_await fresh_attr(ino);
  if (!changes(flags)) attr = co_await or_erased(ino, attr);
  if (attr)
    if (auto allowed = co_await meta::access(client_, who, ino, access_of(flags)); !allowed) attr = allowed.error();
  if (attr)
    if (auto refused = refuse_open(*attr, flags)) attr = refused;
  if (attr && (flags & O_TRUNC)) {
    auto flushed = co_await settle(ino);
    if (flushed) {
      attr = co_await meta::truncate(client_, who, ino, 0, kill_suidgid);
      data_.invalidate(ino);
      page_cache_.forget(ino);
      told_.resized(ino, 0);
    } else {
      attr = flushed.error();
    }
  }
  if (!attr) co_return attr.error();
  counted.dismiss();
  co_return add_handle(ino, flags, *attr);
}

// Of what others deleted the blocks may be gone, and nothing is left to tell that they were.
Async<Attr> Volume::or_erased(Ino ino, Result<Attr> attr) {
  if (attr || attr.error() != posix(ENOENT)) co_return attr;
  CO_CHECK(co_await removals_.gone(ino));
  co_return open_inodes_.erased(ino) ? last_attr(ino) : attr;
}

Async<Attr> Volume::fresh_attr(Ino ino) {
  if (!client_.engine().lags() || client_.cached_attr(ino)) {
    CO_CHECK(co_await client_.engine().catch_up());
    co_return co_await meta::getattr(client_, ino);
  }
  Result<Attr> attr = posix(EIO);
  std::vector<Async<void>> both;  // in one round trip
  both.push_back(client_.engine().catch_up());
  both.push_back([](meta::Client& client, Ino wanted, Result<Attr>& got) -> Async<void> {
    got = co_await meta::getattr(client, wanted);
    co_return Result<void>{};
  }(client_, ino, attr));
  CO_CHECK(co_await fan_out(std::move(both), 2));
  if (attr && client_.engine().coherent() && !client_.cached_attr(ino))
    co_return co_await meta::getattr(client_, ino);  // a notice has come that makes it old
  co_return attr;
}

OpenReply Volume::add_handle(Ino ino, std::uint32_t flags, const Attr& attr) {
  auto handle = std::make_shared<FileHandle>();
  handle->ino = ino;
  handle->flags = flags;
  handle->stream = data_.open_stream(ino);
  handle->losses_told.count = data_.losses().count();
  handle->direct = (flags & O_DIRECT) || writes_past_pages(ino, flags, attr);
  PageCacheVersions::Opened pages;
  if (!data_.dirty(ino)) {
    if (!handle->direct) pages = page_cache_.opened(ino, attr);
    // Close-to-open: what others wrote shows from now on, also where the kernel has not yet let go of the old length.
    bool known = client_.engine().lags() ? told_.believes(ino, attr) : told_.told_last(ino, attr);
    if (auto* kernel = kernel_.load(); kernel && !known) {
      kernel->forget_attr(outside(ino));
      told_.forgotten(ino, attr);
    }
  }
  handle->dropping_pages = pages.dropping;
  // What the kernel has cached it reads without asking: then nobody would see the access.
  bool seen = !(flags & O_NOATIME) && meta::atime_is_due(client_.options(), attr, client_.clock().now());
  bool direct = handle->direct;
  return {.handle = files_.add(std::move(handle)),
          .direct_io = direct,
          .keep_cache = pages.keep && !seen,
          .parallel_writes = (flags & O_DIRECT) != 0};
}

/// Whether the kernel must not take what is written from its pages: it may cut them off meanwhile, when another client
/// has made the file shorter than it knows; and it hands out what was appended at once in two parts where a page ends,
/// between which another's may come. (Some kernels cannot map what is opened like this.)
bool Volume::writes_past_pages(Ino ino, std::uint32_t flags, const Attr& attr) {
  if (!writes(flags)) return false;
  auto* kernel = kernel_.load();
  bool only_writes = (flags & O_ACCMODE) == O_WRONLY;
  if (only_writes && (flags & O_APPEND) && !(kernel && kernel->gathers_writes())) return true;
  auto length = std::max(attr.length, data_.pending_length(ino).value_or(0));
  return told_.may_cut(ino, length) && (only_writes || (kernel && kernel->maps_direct_files()));
}

std::shared_ptr<FileHandle> Volume::file_of(Ino ino, HandleId id, std::optional<std::uint32_t> flags) {
  auto handle = files_.find(id);
  if (!handle && files_.inherited(id)) handle = adopt_file(ino, id, flags);
  return handle && handle->ino == ino ? handle : nullptr;
}

std::shared_ptr<FileHandle> Volume::adopt_file(Ino ino, HandleId id, std::optional<std::uint32_t> flags) {
  auto handle = std::make_shared<FileHandle>();
  handle->ino = ino;
  handle->flags = flags.value_or(O_RDWR);
  handle->stream = data_.open_stream(ino);
  handle->losses_told.count = data_.losses().count();
  handle->may_have_lost = writes(handle->flags);
  handle->direct = true;  // perhaps
  open_inodes_.add(ino);
  open_inodes_.mark_range_locked(ino);  // perhaps: the locks themselves outlived the process
  auto kept = files_.adopt(id, handle);
  if (kept != handle) drop_open(ino);
  return kept;
}

void Volume::opened(FileHandle& handle) {
  if (handle.dropping_pages.load(std::memory_order_relaxed) == 0) return;
  if (auto dropping = handle.dropping_pages.exchange(0)) page_cache_.dropped(handle.ino, dropping);
}

void Volume::drop_open(Ino ino) {
  auto known = data_.losses().count();
  auto left = open_inodes_.remove(ino);
  if (left == OpenTable::Left::others) return;
  data_.losses().forget(ino, known);
  if (left == OpenTable::Left::none_nameless && !left_open_.contains(ino)) release_nameless(ino);
}

void Volume::release_nameless(Ino ino) {
  background_.spawn([](Volume& volume, Ino gone) -> asio::awaitable<void> {
    auto closed = volume.erasing(gone);
    for (; !closed; closed = volume.erasing(gone))
      if (volume.open_inodes_.mark_unlinked(gone, OpenTable::Fate::sustained)) co_return;  // goes with that open
    auto last = co_await meta::release_sustained(volume.client_, gone);
    if (last && *last) volume.nameless_.renew(gone, **last);
    if (last)
      volume.open_inodes_.mark_unlinked(gone, OpenTable::Fate::erased);
    else
      log::warn("volume.release_sustained",
                {{"inode", gone.value}, {"error", last.error()}, {"remedy", "freed when this session ends"}});
  }(*this, ino));
}

Answer<CreateReply> Volume::create(Caller caller, Ino parent, std::string_view name, std::uint32_t mode,
                                   std::uint32_t umask, std::uint32_t flags) {
  if (name.size() > 255) return posix(ENAMETOOLONG);
  if (auto refused = refuse_change(parent)) return refused;
  if (internal_by_name(parent, name)) return posix(EEXIST);
  meta::NewInode what{.type = meta::FileType::file,
                      .mode = static_cast<std::uint16_t>(mode & 07777),
                      .umask = umask_of(umask),
                      .rdev = 0,
                      .target = {}};
  return create_slow(who(caller), inside(parent), std::string(name), std::move(what), flags);
}

Async<CreateReply> Volume::create_slow(meta::Who who, Ino parent, std::string name, meta::NewInode what,
                                       std::uint32_t flags) {
  auto made = co_await meta::make(client_, who, parent, name, std::move(what));
  if (!made && made.error() == posix(EEXIST) && !(flags & O_EXCL)) {  // another client was faster: open theirs
    auto ticket = client_.cache().ticket();
    CO_TRY(auto there, co_await or_stale(meta::lookup(client_, parent, name)));
    // The kernel answers EIO for a CREATE that brings anything but a file; after ESTALE it looks again and follows a
    // link.
    if (there.attr.type != meta::FileType::file)
      co_return posix(there.attr.type == meta::FileType::directory ? EISDIR : ESTALE);
    open_inodes_.add(there.ino);
    CO_TRY(auto opened, co_await or_stale(open_slow(who, there.ino, flags, false)));
    CO_TRY(auto entry, co_await entry_read(there, ticket));
    co_return CreateReply{.entry = named(parent, name, entry), .open = opened};
  }
  if (!made) co_return made.error();
  open_inodes_.add(made->ino);
  co_return created(named(parent, name, entry_reply(made->ino, made->attr, {})), made->ino, flags);
}

Answer<CreateReply> Volume::tmpfile(Caller caller, Ino parent, std::uint32_t mode, std::uint32_t umask,
                                    std::uint32_t flags) {
  if (auto refused = refuse_change(parent)) return refused;
  meta::NewInode what{.type = meta::FileType::file,
                      .mode = static_cast<std::uint16_t>(mode & 07777),
                      .umask = umask_of(umask),
                      .rdev = 0,
                      .target = {}};
  return tmpfile_slow(who(caller), inside(parent), std::move(what), flags);
}

Async<CreateReply> Volume::tmpfile_slow(meta::Who who, Ino parent, meta::NewInode what, std::uint32_t flags) {
  CO_TRY(auto made, co_await meta::make_nameless(client_, who, parent, std::move(what)));
  open_inodes_.add(made.ino);
  open_inodes_.mark_unlinked(made.ino, OpenTable::Fate::sustained);
  co_return created(entry_reply(made.ino, made.attr, {}), made.ino, flags);
}

CreateReply Volume::created(EntryReply entry, Ino ino, std::uint32_t flags) {
  told_.resized(ino, entry.attr.length);  // the kernel knew nothing of it before
  return {.entry = entry, .open = add_handle(ino, flags, entry.attr)};
}

Async<void> Volume::settle(Ino ino) { return data_.flush(ino).get(); }

Answer<void> Volume::flush(Caller, Ino kernel, HandleId id, std::uint64_t lock_owner) {
  if (is_internal(kernel)) return Result<void>{};
  Ino ino = inside(kernel);
  auto handle = file_of(ino, id);
  if (!handle) return posix(EBADF);
  opened(*handle);
  auto flushing = writes(handle->flags) ? sync(handle) : sync_quietly(ino);
  if (!open_inodes_.range_locked(ino)) return flushing;
  return flush_slow(std::move(handle), lock_owner, std::move(flushing));
}

Async<void> Volume::flush_slow(std::shared_ptr<FileHandle> handle, std::uint64_t lock_owner, Answer<void> flushing) {
  auto flushed = co_await std::move(flushing).get();
  co_await release_locks(handle->ino, lock_owner, false);
  handle->lock_owners.remove(lock_owner);  // last: if this is interrupted, they go with the open file
  co_return flushed;
}

Answer<void> Volume::fsync(Caller, Ino kernel, HandleId id, bool) {
  if (is_internal(kernel)) return Result<void>{};
  auto handle = file_of(inside(kernel), id);
  if (!handle) return posix(EBADF);
  return sync(handle);
}

Answer<void> Volume::sync(const std::shared_ptr<FileHandle>& handle) {
  auto flushing = data_.flush(handle->ino, LossesToldPtr(handle, &handle->losses_told));
  if (!handle->may_have_lost) return flushing;
  return [](std::shared_ptr<FileHandle> told, Answer<void> first) -> Async<void> {
    CO_CHECK(co_await std::move(first).get());
    if (told->may_have_lost.exchange(false)) co_return posix(EIO);
    co_return Result<void>{};
  }(handle, std::move(flushing));
}

Answer<void> Volume::sync_quietly(Ino ino) {
  auto flushing = data_.flush(ino);
  if (flushing.ready()) return Result<void>{};
  return [](Async<void> until) -> Async<void> {
    (void)co_await std::move(until);
    co_return Result<void>{};
  }(flushing.later());
}

Answer<void> Volume::release(Caller, Ino kernel, HandleId id, std::uint64_t lock_owner, bool release_flock) {
  if (is_internal(kernel)) return internals_.remove(id), Result<void>{};
  auto handle = file_of(inside(kernel), id);
  if (!handle) return Result<void>{};
  files_.remove(id);
  bool locked = release_flock || handle->has_flock;
  auto owners = handle->lock_owners.take();
  if (locked || !owners.empty()) lock_releases_.begin(handle->ino);
  if (locked || !owners.empty() || (handle->wrote && data_.dirty(handle->ino)))
    return release_slow(std::move(handle), lock_owner, locked, std::move(owners));
  drop_open(handle->ino);
  return Result<void>{};
}

Async<void> Volume::release_slow(std::shared_ptr<FileHandle> handle, std::uint64_t lock_owner, bool release_flock,
                                 std::vector<std::uint64_t> range_owners) {
  if (release_flock || !range_owners.empty()) {
    auto released = Guard([this, ino = handle->ino] { lock_releases_.end(ino); });
    if (release_flock) co_await release_locks(handle->ino, lock_owner, true);
    for (auto owner : range_owners) co_await release_locks(handle->ino, owner, false);
  }
  auto flushed = co_await sync(handle).get();  // written through a mapping after the last close
  if (!flushed)
    log::error("volume.release",
               {{"inode", handle->ino.value}, {"error", flushed.error()}, {"remedy", "what was written last is lost"}});
  drop_open(handle->ino);
  co_return Result<void>{};
}

// ---- bytes ------------------------------------------------------------------------------------------------------

std::optional<Volume::Readable> Volume::readable(Ino ino) const {
  auto pending = data_.pending_length(ino).value_or(0);
  auto hit = client_.cached_attr(ino);
  return hit ? std::optional(Readable{std::max(hit->length, pending), FileVersion::of(*hit)}) : std::nullopt;
}

bool Volume::tracks_access() const { return client_.options().relatime || client_.options().strict_atime; }

bool Volume::access_is_due(FileHandle& handle) const {
  if (!tracks_access() || (handle.flags & O_NOATIME)) return false;
  if (handle.accessed.exchange(true) && !client_.options().strict_atime) return false;
  auto hit = client_.cached_attr(handle.ino);
  return !hit || meta::atime_is_due(client_.options(), *hit, client_.clock().now());
}

Answer<ReadReply> Volume::read(Caller, Ino kernel, HandleId id, std::uint64_t offset, std::uint32_t size,
                               std::uint32_t open_flags) {
  if (is_internal(kernel)) return read_internal(id, offset, size);
  auto handle = file_of(inside(kernel), id, open_flags);
  if (!handle) return posix(EBADF);
  opened(*handle);
  if (access_is_due(*handle)) return read_touching(std::move(handle), offset, size);
  auto now = readable(handle->ino);
  if (!now) return read_slow(std::move(handle), offset, size);
  auto answer = data_.read(*handle->stream, handle->ino, offset, size, now->length, now->version);
  if (answer.ready()) return answer;
  return read_held(std::move(handle), answer.later());
}

// Before the answer: who asks for the time after reading must see it.
Async<ReadReply> Volume::read_touching(std::shared_ptr<FileHandle> handle, std::uint64_t offset, std::uint32_t size) {
  (void)co_await meta::touch_atime(client_, handle->ino);  // best effort, as everywhere
  co_return co_await read_slow(std::move(handle), offset, size);
}

// The stream belongs to the handle, which a release could drop while the read waits.
Async<ReadReply> Volume::read_held(std::shared_ptr<FileHandle>, Async<ReadReply> reading) {
  co_return co_await std::move(reading);
}

Async<ReadReply> Volume::read_slow(std::shared_ptr<FileHandle> handle, std::uint64_t offset, std::uint32_t size) {
  auto pending = data_.pending_length(handle->ino).value_or(0);
  CO_TRY(auto attr, co_await or_stale(or_erased(handle->ino, co_await meta::getattr(client_, handle->ino))));
  auto length = std::max(attr.length, pending);
  auto answer = data_.read(*handle->stream, handle->ino, offset, size, length, FileVersion::of(attr));
  co_return co_await std::move(answer).get();
}

/// Where an append goes that the kernel wants at `offset`: it takes the end of the file from what it was told up to a
/// second ago, and other clients may have appended since. What it then cached is in the wrong place.
std::uint64_t Volume::append_at(Ino ino, std::uint64_t offset, std::uint64_t end) const {
  if (end == offset) return offset;
  if (auto* kernel = kernel_.load()) kernel->forget_data(outside(ino), std::min(offset, end), 0);
  return end;
}

Answer<std::uint32_t> Volume::write(Caller caller, Ino kernel, HandleId id, std::uint64_t offset,
                                    std::span<const std::byte> data, std::uint32_t open_flags, bool kill_suidgid,
                                    bool from_page_cache) {
  if (is_internal(kernel)) return write_internal(id, data);
  auto handle = file_of(inside(kernel), id, open_flags);
  if (!handle) return posix(EBADF);
  if (options_.read_only) return posix(EROFS);
  if (!handle->wrote.exchange(true)) page_cache_.forget(handle->ino);
  if (auto lost = data_.losses().since(handle->losses_told.count, handle->ino)) return lost;
  if ((open_flags & O_APPEND) && !from_page_cache) {
    auto now = readable(handle->ino);
    if (!now) return append_slow(caller, std::move(handle), offset, data, open_flags, kill_suidgid);
    offset = append_at(handle->ino, offset, now->length);
    return write_at(caller, std::move(handle), {offset, data, meta::Placing::at_end}, open_flags, kill_suidgid);
  }
  return write_at(caller, std::move(handle), {offset, data}, open_flags, kill_suidgid);
}

Async<std::uint32_t> Volume::append_slow(Caller caller, std::shared_ptr<FileHandle> handle, std::uint64_t offset,
                                         std::span<const std::byte> data, std::uint32_t open_flags, bool kill_suidgid) {
  auto pending = data_.pending_length(handle->ino).value_or(0);
  CO_TRY(auto attr, co_await or_stale(meta::getattr(client_, handle->ino)));
  offset = append_at(handle->ino, offset, std::max(attr.length, pending));
  auto writing = write_at(caller, std::move(handle), {offset, data, meta::Placing::at_end}, open_flags, kill_suidgid);
  co_return co_await std::move(writing).get();
}

Answer<std::uint32_t> Volume::buffer(Ino ino, const Written& what) {
  if (what.placing == meta::Placing::at_end) return data_.append(ino, what.offset, what.data);
  return data_.write(ino, what.offset, what.data);
}

Answer<std::uint32_t> Volume::write_at(Caller caller, std::shared_ptr<FileHandle> handle, Written what,
                                       std::uint32_t open_flags, bool kill_suidgid) {
  if (kill_suidgid) {
    auto hit = client_.cached_attr(handle->ino);
    kill_suidgid = !hit || (hit->mode & 06000);
  }
  told_.written(handle->ino, what.offset + what.data.size());
  auto writing =
      kill_suidgid ? Answer<std::uint32_t>(write_killing_suid(who(caller), handle, what)) : buffer(handle->ino, what);
  bool durable = (open_flags & O_DSYNC) && (handle->direct || (open_flags & O_DIRECT));
  return durable ? Answer<std::uint32_t>(write_durably(std::move(handle), std::move(writing))) : std::move(writing);
}

// For a write through the page cache the kernel sends an FSYNC after it; for a direct one it sends nothing more.
Async<std::uint32_t> Volume::write_durably(std::shared_ptr<FileHandle> handle, Answer<std::uint32_t> writing) {
  CO_TRY(auto wrote, co_await std::move(writing).get());
  CO_CHECK(co_await sync(handle).get());
  co_return wrote;
}

Async<std::uint32_t> Volume::write_killing_suid(meta::Who who, std::shared_ptr<FileHandle> handle, Written what) {
  meta::AttrChange change{.set = 0, .to = {}, .kill_suidgid = true};
  CO_CHECK(co_await meta::setattr(client_, who, handle->ino, change));
  mode_changed(handle->ino);
  auto writing = buffer(handle->ino, what);
  co_return co_await std::move(writing).get();
}

}  // namespace kiseki::vfs
