#include "fuse/decode.hpp"

#include <cstring>

namespace kiseki::fuse {
namespace {

/// Takes arguments off the front of untrusted bytes. After the first one missing everything else is missing too.
class Arguments {
 public:
  explicit Arguments(const RawRequest& request) : args_(request.args), rest_(request.rest), split_(request.split) {}

  /// The fixed struct; always first. Its first `size` bytes travel, the remainder reads as zero.
  template <class T>
  T fixed(std::size_t size = sizeof(T)) {
    T out{};
    auto from = take(args_, size);
    if (from.size() == size) std::memcpy(&out, from.data(), size);
    if (!split_) rest_ = args_;
    return out;
  }
  /// For requests without a fixed struct.
  void no_fixed() {
    if (!split_) rest_ = args_;
  }
  /// A string up to its NUL.
  std::string_view text() {
    const void* nul = rest_.empty() ? nullptr : std::memchr(rest_.data(), 0, rest_.size());
    if (nul == nullptr) return fail();
    auto length = static_cast<std::size_t>(static_cast<const std::byte*>(nul) - rest_.data());
    std::string_view out(reinterpret_cast<const char*>(rest_.data()), length);
    rest_ = rest_.subspan(length + 1);
    return out;
  }
  /// A directory entry's name.
  std::string_view name() {
    auto out = text();
    if (out.empty() || out.find('/') != std::string_view::npos) return fail();
    return out;
  }
  std::span<const std::byte> data(std::size_t size) { return take(rest_, size); }
  bool ok() const { return ok_; }

 private:
  std::string_view fail() {
    ok_ = false;
    rest_ = args_ = {};
    return {};
  }
  std::span<const std::byte> take(std::span<const std::byte>& from, std::size_t size) {
    if (size > from.size()) return fail(), std::span<const std::byte>();
    auto out = from.first(size);
    from = from.subspan(size);
    return out;
  }
  std::span<const std::byte> args_, rest_;
  bool split_, ok_ = true;
};

Timestamp timestamp(std::uint64_t sec, std::uint32_t nsec) {
  return {static_cast<std::int64_t>(sec), nsec < 1'000'000'000 ? nsec : 999'999'999};
}

vfs::SetAttr setattr(const fuse_setattr_in& in) {
  vfs::SetAttr out;
  auto has = [&](std::uint32_t bit) { return (in.valid & bit) != 0; };
  if (has(FATTR_MODE)) out.set |= meta::kMode, out.to.mode = static_cast<std::uint16_t>(in.mode & 07777);
  if (has(FATTR_UID)) out.set |= meta::kUid, out.to.uid = in.uid;
  if (has(FATTR_GID)) out.set |= meta::kGid, out.to.gid = in.gid;
  if (has(FATTR_SIZE)) out.set |= meta::kLength, out.to.length = in.size;
  if (has(FATTR_ATIME)) out.set |= meta::kAtime, out.to.atime = timestamp(in.atime, in.atimensec);
  if (has(FATTR_MTIME)) out.set |= meta::kMtime, out.to.mtime = timestamp(in.mtime, in.mtimensec);
  if (has(FATTR_CTIME)) out.set |= meta::kCtime, out.to.ctime = timestamp(in.ctime, in.ctimensec);
  if (has(FATTR_ATIME_NOW)) out.set |= meta::kAtime, out.atime_now = true;
  if (has(FATTR_MTIME_NOW)) out.set |= meta::kMtime, out.mtime_now = true;
  out.kill_suidgid = has(FATTR_KILL_SUIDGID);
  if (has(FATTR_FH)) out.handle = HandleId{in.fh};
  return out;
}

Body rename(Arguments& args, bool with_flags) {
  fuse_rename2_in in =
      with_flags ? args.fixed<fuse_rename2_in>() : fuse_rename2_in{args.fixed<fuse_rename_in>().newdir, 0, 0};
  auto name = args.name(), new_name = args.name();
  return Rename{name, new_name, Ino{in.newdir}, in.flags};
}

Body lock(Arguments& args, std::uint32_t opcode) {
  auto in = args.fixed<fuse_lk_in>();
  vfs::LockRange range{in.lk.start, in.lk.end, in.lk.type, in.lk.pid};
  if (opcode == FUSE_GETLK) return Getlk{HandleId{in.fh}, in.owner, range};
  return Setlk{HandleId{in.fh}, in.owner, range, (in.lk_flags & FUSE_LK_FLOCK) != 0, opcode == FUSE_SETLKW};
}

Body write(Arguments& args) {
  auto in = args.fixed<fuse_write_in>();
  auto data = args.data(in.size);
  return Write{HandleId{in.fh},
               in.offset,
               data,
               in.flags,
               (in.write_flags & FUSE_WRITE_KILL_SUIDGID) != 0,
               (in.write_flags & FUSE_WRITE_CACHE) != 0};
}

Body setxattr(Arguments& args, Dialect dialect) {
  auto in =
      args.fixed<fuse_setxattr_in>(dialect.setxattr_ext ? sizeof(fuse_setxattr_in) : FUSE_COMPAT_SETXATTR_IN_SIZE);
  auto name = args.text();
  auto value = args.data(in.size);
  auto flags = in.flags & (vfs::kSetxattrKillSgid - 1);
  if (in.setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID) flags |= vfs::kSetxattrKillSgid;
  return Setxattr{name, {reinterpret_cast<const char*>(value.data()), value.size()}, flags};
}

Body batch_forget(Arguments& args) {
  auto in = args.fixed<fuse_batch_forget_in>();
  return BatchForget{in.count, args.data(std::size_t{in.count} * sizeof(fuse_forget_one))};
}

Body init(Arguments& args, std::size_t available) {
  auto in = args.fixed<fuse_init_in>(available >= sizeof(fuse_init_in) ? sizeof(fuse_init_in) : 16);
  std::uint64_t flags = in.flags;
  if (flags & FUSE_INIT_EXT) flags |= std::uint64_t{in.flags2} << 32;
  return Init{in.major, in.minor, in.max_readahead, flags};
}

Body create(Arguments& args, std::uint32_t opcode) {
  auto in = args.fixed<fuse_create_in>();
  if (opcode == FUSE_TMPFILE) return Tmpfile{in.mode, in.umask, in.flags};  // its name is a slash: nothing
  return Create{args.name(), in.mode, in.umask, in.flags};
}

Body copy_range(Arguments& args, bool wide) {
  auto in = args.fixed<fuse_copy_file_range_in>();
  return CopyRange{HandleId{in.fh_in}, HandleId{in.fh_out}, in.off_in, in.off_out, in.len, Ino{in.nodeid_out}, wide};
}

Body names(Arguments& args, std::uint32_t opcode) {  // requests that are only names
  args.no_fixed();
  switch (opcode) {
    case FUSE_LOOKUP:
      return Lookup{args.name()};
    case FUSE_UNLINK:
      return Unlink{args.name()};
    case FUSE_RMDIR:
      return Rmdir{args.name()};
    case FUSE_REMOVEXATTR:
      return Removexattr{args.text()};
    default: {
      auto name = args.name(), target = args.text();
      return Symlink{name, target};
    }
  }
}

Body entries(Arguments& args, std::uint32_t opcode) {  // a struct, then one name
  switch (opcode) {
    case FUSE_MKNOD: {
      auto in = args.fixed<fuse_mknod_in>();
      return Mknod{args.name(), in.mode, in.umask, in.rdev};
    }
    case FUSE_MKDIR: {
      auto in = args.fixed<fuse_mkdir_in>();
      return Mkdir{args.name(), in.mode, in.umask};
    }
    default: {
      auto in = args.fixed<fuse_link_in>();
      return Link{Ino{in.oldnodeid}, args.name()};
    }
  }
}

Body files(Arguments& args, std::uint32_t opcode) {  // requests about an open file or directory
  switch (opcode) {
    case FUSE_READ: {
      auto in = args.fixed<fuse_read_in>();
      return Read{HandleId{in.fh}, in.offset, in.size, in.flags};
    }
    case FUSE_READDIR:
    case FUSE_READDIRPLUS: {
      auto in = args.fixed<fuse_read_in>();
      return Readdir{HandleId{in.fh}, in.offset, in.size, opcode == FUSE_READDIRPLUS};
    }
    case FUSE_RELEASE: {
      auto in = args.fixed<fuse_release_in>();
      return Release{HandleId{in.fh}, in.lock_owner, (in.release_flags & FUSE_RELEASE_FLOCK_UNLOCK) != 0};
    }
    case FUSE_RELEASEDIR:
      return Releasedir{HandleId{args.fixed<fuse_release_in>().fh}};
    case FUSE_FSYNC: {
      auto in = args.fixed<fuse_fsync_in>();
      return Fsync{HandleId{in.fh}, (in.fsync_flags & FUSE_FSYNC_FDATASYNC) != 0};
    }
    case FUSE_FSYNCDIR:
      return Fsyncdir{HandleId{args.fixed<fuse_fsync_in>().fh}};
    case FUSE_FLUSH: {
      auto in = args.fixed<fuse_flush_in>();
      return Flush{HandleId{in.fh}, in.lock_owner};
    }
    case FUSE_FALLOCATE: {
      auto in = args.fixed<fuse_fallocate_in>();
      return Fallocate{HandleId{in.fh}, in.offset, in.length, in.mode};
    }
    case FUSE_LSEEK: {
      auto in = args.fixed<fuse_lseek_in>();
      return Lseek{HandleId{in.fh}, in.offset, in.whence};
    }
    default: {
      auto in = args.fixed<fuse_ioctl_in>();
      return Ioctl{HandleId{in.fh}, in.cmd, in.out_size, args.data(in.in_size)};
    }
  }
}

Result<Body> understand(Arguments& args, const RawRequest& request, Dialect dialect) {
  auto opcode = request.header.opcode;
  switch (opcode) {
    case FUSE_LOOKUP:
    case FUSE_UNLINK:
    case FUSE_RMDIR:
    case FUSE_REMOVEXATTR:
    case FUSE_SYMLINK:
      return names(args, opcode);
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_LINK:
      return entries(args, opcode);
    case FUSE_READ:
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
    case FUSE_FLUSH:
    case FUSE_FALLOCATE:
    case FUSE_LSEEK:
    case FUSE_IOCTL:
      return files(args, opcode);
    case FUSE_WRITE:
      return write(args);
    case FUSE_GETATTR: {
      auto in = args.fixed<fuse_getattr_in>();
      return Body(Getattr{in.getattr_flags & FUSE_GETATTR_FH ? std::optional(HandleId{in.fh}) : std::nullopt});
    }
    case FUSE_SETATTR:
      return Body(Setattr{setattr(args.fixed<fuse_setattr_in>())});
    case FUSE_FORGET:
      return Body(Forget{args.fixed<fuse_forget_in>().nlookup});
    case FUSE_BATCH_FORGET:
      return batch_forget(args);
    case FUSE_READLINK:
      return Body(Readlink{});
    case FUSE_RENAME:
      return rename(args, false);
    case FUSE_RENAME2:
      return rename(args, true);
    case FUSE_OPEN: {
      auto in = args.fixed<fuse_open_in>();
      return Body(Open{in.flags, (in.open_flags & FUSE_OPEN_KILL_SUIDGID) != 0});
    }
    case FUSE_OPENDIR:
      return Body(Opendir{args.fixed<fuse_open_in>().flags});
    case FUSE_CREATE:
    case FUSE_TMPFILE:
      return create(args, opcode);
    case FUSE_STATFS:
      return Body(Statfs{});
    case FUSE_SETXATTR:
      return setxattr(args, dialect);
    case FUSE_GETXATTR: {
      auto in = args.fixed<fuse_getxattr_in>();
      return Body(Getxattr{args.text(), in.size});
    }
    case FUSE_LISTXATTR:
      return Body(Listxattr{args.fixed<fuse_getxattr_in>().size});
    case FUSE_GETLK:
    case FUSE_SETLK:
    case FUSE_SETLKW:
      return lock(args, opcode);
    case FUSE_ACCESS:
      return Body(Access{args.fixed<fuse_access_in>().mask});
    case FUSE_INTERRUPT:
      return Body(Interrupt{args.fixed<fuse_interrupt_in>().unique});
    case FUSE_COPY_FILE_RANGE:
      return copy_range(args, false);
    case abi::kCopyFileRange64:
      return copy_range(args, true);
    case FUSE_INIT:
      return init(args, request.args.size());
    case FUSE_DESTROY:
      return Body(Destroy{});
    default:
      return posix(ENOSYS);
  }
}

}  // namespace

ForgetOne BatchForget::at(std::uint32_t index) const {
  fuse_forget_one one;
  std::memcpy(&one, items.data() + std::size_t{index} * sizeof one, sizeof one);
  return {Ino{one.nodeid}, one.nlookup};
}

Result<RawRequest> frame(std::span<const std::byte> message) {
  RawRequest out;
  if (message.size() < sizeof out.header) return posix(EPROTO);
  std::memcpy(&out.header, message.data(), sizeof out.header);
  auto extensions = std::size_t{out.header.total_extlen} * 8;  // none is asked for; skipped if they come
  if (out.header.len != message.size() || extensions > message.size() - sizeof out.header) return posix(EPROTO);
  out.args = message.subspan(sizeof out.header, message.size() - sizeof out.header - extensions);
  return out;
}

Result<Body> decode(const RawRequest& request, Dialect dialect) {
  Arguments args(request);
  auto body = understand(args, request, dialect);
  if (body && !args.ok()) return posix(EINVAL);
  return body;
}

bool wants_reply(std::uint32_t opcode) {
  return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT;
}

}  // namespace kiseki::fuse
