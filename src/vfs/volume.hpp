#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/async.hpp"
#include "meta/access.hpp"
#include "meta/client.hpp"
#include "meta/ops.hpp"
#include "vfs/access_log.hpp"
#include "vfs/data.hpp"
#include "vfs/filesystem.hpp"
#include "vfs/handles.hpp"
#include "vfs/kernel_beliefs.hpp"
#include "vfs/listing.hpp"
#include "vfs/nameless.hpp"

namespace kiseki::vfs {

struct VolumeOptions {
  std::chrono::nanoseconds attr_timeout = std::chrono::seconds(1);
  std::chrono::nanoseconds entry_timeout = std::chrono::seconds(1);
  std::chrono::nanoseconds dir_entry_timeout = std::chrono::seconds(1);
  std::chrono::nanoseconds negative_timeout{0};
  bool read_only = false;
  bool xattr = false, capabilities = false, selinux = false, ioctl = false;
  bool cache_dirs = false;  ///< --readdir-cache
  bool hide_internal = false, prefix_internal = false;
  bool check_permissions = false;  ///< of callers who are not squashed, because the kernel does not
  bool subdir = false;             ///< `root` is a directory inside the volume
  Ino root = kRootIno;
  std::optional<std::uint16_t> umask = {};
  std::optional<Caller> root_squash = {}, all_squash = {};
  /// Of a process that serves on after another: what that held open without a name. The kernel may have more open than
  /// is known here, so whatever loses its last name is kept until the kernel forgets it.
  std::optional<std::vector<Ino>> resumed = {};
  std::function<std::string()> config_text = {};        ///< content of .config
  std::function<Async<std::string>()> stats_text = {};  ///< content of .stats; takes a while
};

/// A mounted volume: names and attributes from meta, contents from FileData, open handles here. What memory can answer
/// is answered inline; the rest is a coroutine on the caller's loop. Any loop may call.
class Volume final : public Filesystem, public meta::OpenInodes {
 public:
  /// `client` and `data` outlive the volume; `background` runs what nobody waits for (atime, deletions).
  Volume(meta::Client& client, FileData& data, asio::any_io_executor background, VolumeOptions options);
  ~Volume() override;

  /// What .accesslog shows. The volume writes nothing there: LoggedFilesystem does.
  AccessLog& access_log() { return access_log_; }

  void attached(KernelCache& kernel) override { kernel_ = &kernel; }
  bool is_open(Ino ino) const override { return open_inodes_.contains(ino); }
  std::shared_ptr<const void> keep_closed(Ino ino) const override;
  std::vector<Ino> nameless() const override { return open_inodes_.unlinked(); }
  /// Open files and directories, internal ones too. Any thread.
  std::size_t open_handles() const { return files_.size() + dirs_.size() + internals_.size(); }

  Answer<EntryReply> lookup(Caller, Ino parent, std::string_view name) override;
  void forget(Ino ino, std::uint64_t lookups) override;
  Answer<AttrReply> getattr(Caller, Ino, std::optional<HandleId>) override;
  Answer<AttrReply> setattr(Caller, Ino, SetAttr) override;
  Answer<std::string> readlink(Caller, Ino) override;
  Answer<EntryReply> mknod(Caller, Ino parent, std::string_view name, std::uint32_t mode, std::uint32_t umask,
                           std::uint32_t rdev) override;
  Answer<EntryReply> mkdir(Caller, Ino parent, std::string_view name, std::uint32_t mode, std::uint32_t umask) override;
  Answer<void> unlink(Caller, Ino parent, std::string_view name) override;
  Answer<void> rmdir(Caller, Ino parent, std::string_view name) override;
  Answer<EntryReply> symlink(Caller, Ino parent, std::string_view name, std::string_view target) override;
  Answer<void> rename(Caller, Ino from, std::string_view name, Ino to, std::string_view new_name,
                      std::uint32_t flags) override;
  Answer<EntryReply> link(Caller, Ino, Ino to, std::string_view new_name) override;

  Answer<OpenReply> open(Caller, Ino, std::uint32_t flags, bool kill_suidgid) override;
  Answer<CreateReply> create(Caller, Ino parent, std::string_view name, std::uint32_t mode, std::uint32_t umask,
                             std::uint32_t flags) override;
  Answer<CreateReply> tmpfile(Caller, Ino parent, std::uint32_t mode, std::uint32_t umask,
                              std::uint32_t flags) override;
  Answer<ReadReply> read(Caller, Ino, HandleId, std::uint64_t offset, std::uint32_t size,
                         std::uint32_t open_flags) override;
  Answer<std::uint32_t> write(Caller, Ino, HandleId, std::uint64_t offset, std::span<const std::byte> data,
                              std::uint32_t open_flags, bool kill_suidgid, bool from_page_cache) override;
  Answer<void> flush(Caller, Ino, HandleId, std::uint64_t lock_owner) override;
  Answer<void> fsync(Caller, Ino, HandleId, bool data_only) override;
  Answer<void> release(Caller, Ino, HandleId, std::uint64_t lock_owner, bool release_flock) override;
  Answer<void> fallocate(Caller, Ino, HandleId, std::uint64_t offset, std::uint64_t length,
                         std::uint32_t mode) override;
  Answer<std::uint64_t> lseek(Caller, Ino, HandleId, std::uint64_t offset, std::uint32_t whence) override;
  Answer<std::uint64_t> copy_range(Caller, Ino in, HandleId in_handle, std::uint64_t in_offset, Ino out,
                                   HandleId out_handle, std::uint64_t out_offset, std::uint64_t length) override;

  Answer<OpenReply> opendir(Caller, Ino, std::uint32_t flags) override;
  Answer<void> readdir(Caller, Ino, HandleId, std::uint64_t cookie, bool plus, DirSink sink) override;
  Answer<void> releasedir(Caller, Ino, HandleId) override;
  Answer<void> fsyncdir(Caller, Ino, HandleId) override;

  Answer<StatfsReply> statfs(Caller, Ino) override;
  Answer<void> access(Caller, Ino, std::uint32_t mask) override;
  Answer<void> setxattr(Caller, Ino, std::string_view name, std::string_view value, std::uint32_t flags) override;
  Answer<std::string> getxattr(Caller, Ino, std::string_view name) override;
  Answer<std::string> listxattr(Caller, Ino) override;
  Answer<void> removexattr(Caller, Ino, std::string_view name) override;

  Answer<LockRange> getlk(Caller, Ino, HandleId, std::uint64_t owner, LockRange) override;
  Answer<void> setlk(Caller, Ino, HandleId, std::uint64_t owner, LockRange, bool wait) override;
  Answer<void> flock(Caller, Ino, HandleId, std::uint64_t owner, std::uint32_t type, bool wait) override;
  Answer<IoctlReply> ioctl(Caller, Ino, HandleId, std::uint32_t command, std::span<const std::byte> in,
                           std::uint32_t out_size) override;

  asio::awaitable<void> destroyed() override;

 private:
  // The kernel calls the root 1, whichever directory of the volume it is.
  Ino inside(Ino kernel) const { return kernel == kRootIno ? options_.root : kernel; }
  Ino outside(Ino ino) const { return ino == options_.root ? kRootIno : ino; }
  meta::Who who(Caller) const;
  std::uint16_t umask_of(std::uint32_t asked) const;

  // What the kernel is told: stored attributes with what is still buffered on top. What is buffered is asked for first:
  // what is committed before the attributes are read is then in them.
  struct Buffered {
    std::optional<std::uint64_t> end;
    std::optional<Timestamp> mtime;
  };
  Buffered buffered(Ino ino) const { return {data_.pending_length(ino), data_.pending_mtime(ino)}; }
  /// How long the kernel may believe what it is told; not at all, while the engine is out of reach.
  std::chrono::nanoseconds valid_for(std::chrono::nanoseconds timeout) const {
    return client_.engine().away() ? std::chrono::nanoseconds(0) : timeout;
  }
  AttrReply attr_reply(Ino ino, const Attr& attr, const Buffered& before) const;
  EntryReply entry_reply(Ino ino, const Attr& attr, const Buffered& before) const;
  bool nothing_changed(meta::RecordCache::Ticket since) const;
  /// For what a fetch brought that began at `since`: whether the name leads to the inode, as far as we have heard; what
  /// to tell of the inode, nothing when it has changed meanwhile. What cannot be said for want of memory has changed.
  bool still_named(Ino dir, std::string_view name, Ino ino, meta::RecordCache::Ticket since) const;
  std::optional<EntryReply> entry_since(Ino ino, const Attr& attr, meta::RecordCache::Ticket since) const;
  /// The same, with the attributes fetched again if they have changed.
  Async<EntryReply> entry_read(meta::InodeEntry entry, meta::RecordCache::Ticket since);
  /// `op` on an inode that the kernel found by a name which no longer leads to it: ESTALE, after which Linux walks the
  /// path once more, where ENOENT would be the answer.
  template <class T>
  static Async<T> or_stale(Async<T> op) {
    auto done = co_await std::move(op);
    if (!done && done.error() == posix(ENOENT)) co_return posix(ESTALE);
    co_return done;
  }
  /// suid and sgid went with something else: the kernel's cached mode is wrong from now on.
  void mode_changed(Ino ino) const;
  std::error_code refuse_change(Ino ino) const;  ///< EROFS, EPERM of internal files; none: go on

  Async<EntryReply> lookup_checked(meta::Who who, Ino parent, std::string name);
  std::optional<Result<EntryReply>> lookup_now(Ino parent, std::string_view name) const;
  Async<EntryReply> lookup_again(Ino parent, std::string name);
  EntryReply named(Ino parent, std::string_view name, EntryReply reply) const;  ///< remembers that it was told
  Async<EntryReply> lookup_slow(Ino parent, std::string name);
  Result<EntryReply> not_found(std::error_code why) const;
  Async<AttrReply> getattr_slow(Ino ino, Buffered before);
  Async<Attr> attr_or_last(Ino ino);  ///< of an inode that is erased but still in somebody's hands: its last ones
  Result<Attr> last_attr(Ino ino) const;
  /// For who reads: of an inode that this mount erased while it was open, its last ones. Its blocks stay.
  Async<Attr> or_erased(Ino ino, Result<Attr> attr);
  Async<AttrReply> setattr_slow(meta::Who who, Ino ino, SetAttr change);
  Async<std::string> readlink_slow(Ino ino);
  Async<EntryReply> make(meta::Who who, Ino parent, std::string name, meta::NewInode what);
  Async<void> remove(meta::Who who, Ino parent, std::string name, bool directory);
  Async<void> rename_slow(meta::Who who, Ino from, std::string name, Ino to, std::string new_name, std::uint32_t flags);
  Async<EntryReply> link_slow(meta::Who who, Ino ino, Ino to, std::string new_name);
  void removed(const meta::Removed& gone);

  OpenReply add_handle(Ino ino, std::uint32_t flags, const Attr& attr);
  CreateReply created(EntryReply entry, Ino ino, std::uint32_t flags);
  bool writes_past_pages(Ino ino, std::uint32_t flags, const Attr& attr);
  /// The open file a request speaks of; null: EBADF. What an earlier process had open goes on by its inode. `flags`:
  /// those of open(2), where the request tells.
  std::shared_ptr<FileHandle> file_of(Ino ino, HandleId id, std::optional<std::uint32_t> flags = {});
  std::shared_ptr<FileHandle> adopt_file(Ino ino, HandleId id, std::optional<std::uint32_t> flags);
  std::shared_ptr<DirHandle> dir_of(Ino ino, HandleId id);
  /// What was written before is stored when this is answered. Errors: what was lost since this open file last told.
  Answer<void> sync(const std::shared_ptr<FileHandle>& handle);
  Answer<void> sync_quietly(Ino ino);  ///< the same for who wrote nothing: what is lost is told to others
  /// As keep_closed, by what this process knows.
  std::shared_ptr<const void> erasing(Ino ino) const;
  void release_nameless(Ino ino);   ///< in the background: nobody has it open any more
  void drop_open(Ino ino);          ///< one open less; the data of a nameless inode goes with the last
  void opened(FileHandle& handle);  ///< a request came through it: open(2) has returned
  bool tracks_access() const;
  bool access_is_due(FileHandle& handle) const;  ///< by what is known; asked once per access
  Async<OpenReply> open_slow(meta::Who who, Ino ino, std::uint32_t flags, bool kill_suidgid);
  Async<CreateReply> create_slow(meta::Who who, Ino parent, std::string name, meta::NewInode what, std::uint32_t flags);
  Async<CreateReply> tmpfile_slow(meta::Who who, Ino parent, meta::NewInode what, std::uint32_t flags);
  struct Readable {  ///< what a read must know of its file
    std::uint64_t length = 0;
    FileVersion version;
  };
  std::optional<Readable> readable(Ino ino) const;  ///< by what memory knows
  Async<Attr> fresh_attr(Ino ino);  ///< no older than this call: what another client closed before is in them
  std::uint64_t append_at(Ino ino, std::uint64_t offset, std::uint64_t end) const;
  Async<std::uint32_t> append_slow(Caller caller, std::shared_ptr<FileHandle> handle, std::uint64_t offset,
                                   std::span<const std::byte> data, std::uint32_t open_flags, bool kill_suidgid);
  struct Written {
    std::uint64_t offset;
    std::span<const std::byte> data;
    meta::Placing placing = meta::Placing::given;
  };
  Answer<std::uint32_t> write_at(Caller caller, std::shared_ptr<FileHandle> handle, Written what,
                                 std::uint32_t open_flags, bool kill_suidgid);
  Answer<std::uint32_t> buffer(Ino ino, const Written& what);
  Async<ReadReply> read_slow(std::shared_ptr<FileHandle> handle, std::uint64_t offset, std::uint32_t size);
  Async<ReadReply> read_touching(std::shared_ptr<FileHandle> handle, std::uint64_t offset, std::uint32_t size);
  Async<ReadReply> read_held(std::shared_ptr<FileHandle> handle, Async<ReadReply> reading);
  Async<std::uint32_t> write_killing_suid(meta::Who who, std::shared_ptr<FileHandle> handle, Written what);
  Async<std::uint32_t> write_durably(std::shared_ptr<FileHandle> handle, Answer<std::uint32_t> writing);
  Async<void> flush_slow(std::shared_ptr<FileHandle> handle, std::uint64_t lock_owner, Answer<void> flushing);
  Async<void> release_slow(std::shared_ptr<FileHandle> handle, std::uint64_t lock_owner, bool release_flock,
                           std::vector<std::uint64_t> range_owners);
  /// Releases an owner's locks in a file that was closed; what fails is tried again in the background.
  asio::awaitable<void> release_locks(Ino ino, std::uint64_t owner, bool flocks);
  asio::awaitable<void> release_late(Ino ino, std::uint64_t owner, bool flocks);
  template <class T>
  Answer<T> after_releases(Ino ino, Async<T> locking);
  Async<void> lock_slow(Ino ino, bool unlocks, Async<void> locking);
  Async<void> fallocate_slow(Caller caller, Ino ino, std::uint64_t offset, std::uint64_t length, std::uint32_t mode);
  Async<std::uint64_t> lseek_slow(Ino ino, std::uint64_t offset, std::uint32_t whence);
  Async<void> settle(Ino ino);  ///< flushes what is buffered of a file
  Async<std::uint64_t> copy_slow(Caller caller, Ino in, std::uint64_t in_offset, Ino out, std::uint64_t out_offset,
                                 std::uint64_t length);

  Result<OpenReply> open_listing(Ino kernel, std::uint32_t flags);
  enum class Feed { more, full, end };
  Answer<void> read_dir(std::shared_ptr<DirHandle> dir, std::uint64_t cookie, bool plus, DirSink sink);
  Async<void> readdir_touching(std::shared_ptr<DirHandle> dir, bool plus, DirSink sink);
  WholeListing listing_for(DirHandle& dir, std::uint64_t cookie);
  std::optional<Result<void>> readdir_now(const DirHandle& dir, const WholeListing& all, std::uint64_t cookie,
                                          bool plus, const DirSink& sink);
  Async<void> readdir_in_doubt(std::shared_ptr<DirHandle> dir, bool plus, DirSink sink);
  Async<void> readdir_listed(std::shared_ptr<DirHandle> dir, WholeListing all, std::uint64_t cookie, bool plus,
                             DirSink sink);
  Async<void> readdir_slow(std::shared_ptr<DirHandle> dir, std::uint64_t cookie, bool plus, DirSink sink);
  void keep_page(DirHandle& dir);
  Async<Feed> turn_to(DirHandle& dir, std::uint64_t index, bool with_attrs);
  void rewind(DirHandle& dir);
  bool listings_are_tight() const;
  static void put_down(DirHandle& dir);  ///< all was shown: what follows is most often releasedir
  Feed feed_page(DirHandle& dir, std::uint64_t& index, bool plus, const DirSink& sink) const;
  std::optional<EntryReply> in_full(Ino dir, const ListingPage& page, const meta::ListedEntry& entry) const;
  Feed feed_listed(const Listing& all, std::uint64_t index, const std::optional<EntryReply>& full,
                   const DirSink& sink) const;
  Feed feed_dots(Ino dir, Ino above, std::uint64_t cookie, const DirSink& sink) const;
  Async<Ino> parent_of(Ino dir);
  bool shows_internal(Ino dir) const;
  Feed feed_internal(std::uint64_t cookie, const DirSink& sink) const;

  Async<StatfsReply> statfs_slow();
  /// Then `go_on`, if `who` may. Costs nothing for who is not checked.
  template <class T>
  Answer<T> after_access(meta::Who who, Ino ino, std::uint32_t mask, std::function<Answer<T>()> go_on);
  std::error_code refuse_privileged(meta::Who who, std::string_view xattr) const;
  Async<void> setxattr_slow(meta::Who who, Ino ino, std::string name, std::string value, std::uint32_t flags);
  Async<std::string> getxattr_slow(Ino ino, std::string name);
  Async<std::string> listxattr_slow(meta::Who who, Ino ino);
  Async<void> removexattr_slow(meta::Who who, Ino ino, std::string name);
  std::error_code refuse_xattr(std::string_view name, bool reading) const;
  Async<IoctlReply> get_flags(Ino ino, bool in_struct);
  Async<IoctlReply> set_flags(meta::Who who, Ino ino, std::uint32_t flags, bool in_struct);

  // Internal files: volume_internal.cpp.
  std::optional<Ino> internal_by_name(Ino parent, std::string_view name) const;
  Attr internal_attr(Ino ino) const;
  Answer<OpenReply> open_internal(Caller caller, Ino ino, std::uint32_t flags);
  Async<ReadReply> read_access_log(std::shared_ptr<AccessLogReader> reader, std::uint32_t size);
  Async<OpenReply> open_stats(std::shared_ptr<InternalHandle> handle);
  Answer<ReadReply> read_internal(HandleId handle, std::uint64_t offset, std::uint32_t size);
  Answer<std::uint32_t> write_internal(HandleId handle, std::span<const std::byte> data);
  Async<std::uint32_t> control(std::shared_ptr<InternalHandle> handle, std::uint32_t accepted);
  Async<std::string> control_info(std::string body);

  meta::Client& client_;
  FileData& data_;
  VolumeOptions options_;
  Timestamp mounted_;
  std::atomic<KernelCache*> kernel_{nullptr};
  OpenTable open_inodes_;
  BusyInodes lock_releases_;
  /// Being erased, because they were not open. Who opens one to change it waits for what becomes of it; a reader need
  /// not: the blocks stay until it closes.
  mutable BusyInodes removals_;
  OpenListings open_listings_;
  NamelessAttrs nameless_;
  LeftOpen left_open_;
  PageCacheVersions page_cache_;
  mutable ToldAttrs told_{options_.attr_timeout};
  mutable ToldNames told_names_{std::max(options_.entry_timeout, options_.dir_entry_timeout)};
  HandleTable<FileHandle> files_;
  std::atomic<std::size_t> listing_bytes_{0};  ///< in the hands of open directories
  HandleTable<DirHandle> dirs_;
  ListingCache listings_;
  std::atomic<std::size_t> control_bytes_{0};  ///< replies nobody has made room for by asking anew
  AccessLog access_log_;                       // before those who read it
  HandleTable<InternalHandle> internals_;
  TaskGroup background_, late_releases_;
};

template <class T>
Answer<T> Volume::after_access(meta::Who who, Ino ino, std::uint32_t mask, std::function<Answer<T>()> go_on) {
  if (!meta::is_checked(who)) return go_on();
  return [](Volume& volume, meta::Who as, Ino of, std::uint32_t want, std::function<Answer<T>()> then) -> Async<T> {
    CO_CHECK(co_await meta::access(volume.client_, as, of, want));
    co_return co_await then().get();
  }(*this, who, ino, mask, std::move(go_on));
}

}  // namespace kiseki::vfs
