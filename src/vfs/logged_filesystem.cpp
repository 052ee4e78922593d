// One line for each operation, in JuiceFS's words (tools.md 3.3). What it does not know of (lseek, fsyncdir) is not
// told.
#include "vfs/logged_filesystem.hpp"

#include <spdlog/fmt/fmt.h>
#include <sys/stat.h>

#include <type_traits>

#include "vfs/access_words.hpp"

namespace kiseki::vfs {
namespace {

using Clock = std::chrono::steady_clock;
using words::entry;
using words::quoted;

/// An operation that was asked while somebody reads; its line is written when it ends.
struct Told {
  AccessLog& log;
  Caller who;
  std::string operation;  ///< its name and arguments
  Clock::time_point began = Clock::now();

  /// `show`: what the success says, after the arguments. Failures say nothing but their status.
  template <class T, class Show>
  Answer<T> when_done(Answer<T> answer, Show show) {
    if (!answer.ready()) return later(std::move(*this), answer.later(), std::move(show));
    write(answer.now(), show);
    return answer;
  }
  template <class T>
  Answer<T> when_done(Answer<T> answer) {
    return when_done(std::move(answer), [](const auto&) { return std::string(); });
  }

 private:
  template <class T, class Show>
  static Async<T> later(Told told, Async<T> work, Show show) {
    auto result = co_await std::move(work);
    told.write(result, show);
    co_return result;
  }
  template <class T, class Show>
  void write(const Result<T>& result, const Show& show) {
    if constexpr (!std::is_void_v<T>) {
      if (result) operation += show(*result);
    } else if constexpr (std::is_invocable_v<Show>) {
      if (result) operation += show();
    }
    log.write(who, operation, Clock::now() - began, result ? std::error_code() : result.error());
  }
};

std::string entry_of(const EntryReply& reply) { return ":" + entry(reply.ino, reply.attr); }
std::string attr_of(const AttrReply& reply) { return ":" + entry(reply.ino, reply.attr); }
std::string handle_of(const OpenReply& reply) { return fmt::format(" [fh:{}]", reply.handle.value); }
std::string created(const CreateReply& reply) { return entry_of(reply.entry) + handle_of(reply.open); }
std::string size_of(const std::string& value) { return fmt::format(": ({})", value.size()); }

}  // namespace

// ---- names ------------------------------------------------------------------------------------------------------

Answer<EntryReply> LoggedFilesystem::lookup(Caller who, Ino parent, std::string_view name) {
  if (!log_.is_read()) return inner_.lookup(who, parent, name);
  Told told{log_, who, fmt::format("lookup ({},{})", parent.value, quoted(name))};
  return told.when_done(inner_.lookup(who, parent, name), entry_of);
}

Answer<EntryReply> LoggedFilesystem::mknod(Caller who, Ino parent, std::string_view name, std::uint32_t mode,
                                           std::uint32_t umask, std::uint32_t rdev) {
  if (!log_.is_read()) return inner_.mknod(who, parent, name, mode, umask, rdev);
  Told told{
      log_, who,
      fmt::format("mknod ({},{},{},0x{:08X})", parent.value, quoted(name), words::mode(mode, S_IFMT | 07777), rdev)};
  return told.when_done(inner_.mknod(who, parent, name, mode, umask, rdev), entry_of);
}

Answer<EntryReply> LoggedFilesystem::mkdir(Caller who, Ino parent, std::string_view name, std::uint32_t mode,
                                           std::uint32_t umask) {
  if (!log_.is_read()) return inner_.mkdir(who, parent, name, mode, umask);
  Told told{log_, who, fmt::format("mkdir ({},{},{})", parent.value, quoted(name), words::mode(mode, 07777))};
  return told.when_done(inner_.mkdir(who, parent, name, mode, umask), entry_of);
}

Answer<void> LoggedFilesystem::unlink(Caller who, Ino parent, std::string_view name) {
  if (!log_.is_read()) return inner_.unlink(who, parent, name);
  Told told{log_, who, fmt::format("unlink ({},{})", parent.value, quoted(name))};
  return told.when_done(inner_.unlink(who, parent, name));
}

Answer<void> LoggedFilesystem::rmdir(Caller who, Ino parent, std::string_view name) {
  if (!log_.is_read()) return inner_.rmdir(who, parent, name);
  Told told{log_, who, fmt::format("rmdir ({},{})", parent.value, quoted(name))};
  return told.when_done(inner_.rmdir(who, parent, name));
}

Answer<EntryReply> LoggedFilesystem::symlink(Caller who, Ino parent, std::string_view name, std::string_view target) {
  if (!log_.is_read()) return inner_.symlink(who, parent, name, target);
  Told told{log_, who, fmt::format("symlink ({},{},{})", parent.value, quoted(name), quoted(target))};
  return told.when_done(inner_.symlink(who, parent, name, target), entry_of);
}

Answer<void> LoggedFilesystem::rename(Caller who, Ino from, std::string_view name, Ino to, std::string_view new_name,
                                      std::uint32_t flags) {
  if (!log_.is_read()) return inner_.rename(who, from, name, to, new_name, flags);
  Told told{log_, who,
            fmt::format("rename ({},{},{},{},{})", from.value, quoted(name), to.value, quoted(new_name), flags)};
  return told.when_done(inner_.rename(who, from, name, to, new_name, flags));
}

Answer<EntryReply> LoggedFilesystem::link(Caller who, Ino ino, Ino to, std::string_view new_name) {
  if (!log_.is_read()) return inner_.link(who, ino, to, new_name);
  Told told{log_, who, fmt::format("link ({},{},{})", ino.value, to.value, quoted(new_name))};
  return told.when_done(inner_.link(who, ino, to, new_name), entry_of);
}

// ---- attributes -------------------------------------------------------------------------------------------------

Answer<AttrReply> LoggedFilesystem::getattr(Caller who, Ino ino, std::optional<HandleId> handle) {
  if (!log_.is_read()) return inner_.getattr(who, ino, handle);
  Told told{log_, who, fmt::format("getattr ({})", ino.value)};
  return told.when_done(inner_.getattr(who, ino, handle), attr_of);
}

Answer<AttrReply> LoggedFilesystem::setattr(Caller who, Ino ino, SetAttr change) {
  if (!log_.is_read()) return inner_.setattr(who, ino, change);
  Told told{
      log_, who,
      fmt::format("setattr ({}[{}],{})", ino.value, change.handle.value_or(HandleId{}).value, words::changes(change))};
  return told.when_done(inner_.setattr(who, ino, change), attr_of);
}

Answer<std::string> LoggedFilesystem::readlink(Caller who, Ino ino) {
  if (!log_.is_read()) return inner_.readlink(who, ino);
  Told told{log_, who, fmt::format("readlink ({})", ino.value)};
  return told.when_done(inner_.readlink(who, ino),
                        [](const std::string& target) { return fmt::format(": ({})", quoted(target)); });
}

Answer<StatfsReply> LoggedFilesystem::statfs(Caller who, Ino ino) {
  if (!log_.is_read()) return inner_.statfs(who, ino);
  Told told{log_, who, fmt::format("statfs ({})", ino.value)};
  return told.when_done(inner_.statfs(who, ino), [](const StatfsReply& reply) {
    return fmt::format(": ({},{},{},{})", reply.total_bytes - reply.available_bytes, reply.available_bytes,
                       reply.total_inodes - reply.available_inodes, reply.available_inodes);
  });
}

Answer<void> LoggedFilesystem::access(Caller who, Ino ino, std::uint32_t mask) {
  if (!log_.is_read()) return inner_.access(who, ino, mask);
  Told told{log_, who, fmt::format("access ({},0x{:X})", ino.value, mask)};
  return told.when_done(inner_.access(who, ino, mask));
}

Answer<void> LoggedFilesystem::setxattr(Caller who, Ino ino, std::string_view name, std::string_view value,
                                        std::uint32_t flags) {
  if (!log_.is_read()) return inner_.setxattr(who, ino, name, value, flags);
  Told told{log_, who, fmt::format("setxattr ({},{},{},{})", ino.value, quoted(name), value.size(), flags)};
  return told.when_done(inner_.setxattr(who, ino, name, value, flags));
}

// How much the kernel has room for is not known here: 0, as when it asks for the size.
Answer<std::string> LoggedFilesystem::getxattr(Caller who, Ino ino, std::string_view name) {
  if (!log_.is_read()) return inner_.getxattr(who, ino, name);
  Told told{log_, who, fmt::format("getxattr ({},{},0)", ino.value, quoted(name))};
  return told.when_done(inner_.getxattr(who, ino, name), size_of);
}

Answer<std::string> LoggedFilesystem::listxattr(Caller who, Ino ino) {
  if (!log_.is_read()) return inner_.listxattr(who, ino);
  Told told{log_, who, fmt::format("listxattr ({},0)", ino.value)};
  return told.when_done(inner_.listxattr(who, ino), size_of);
}

Answer<void> LoggedFilesystem::removexattr(Caller who, Ino ino, std::string_view name) {
  if (!log_.is_read()) return inner_.removexattr(who, ino, name);
  Told told{log_, who, fmt::format("removexattr ({},{})", ino.value, quoted(name))};
  return told.when_done(inner_.removexattr(who, ino, name));
}

// ---- files ------------------------------------------------------------------------------------------------------

Answer<OpenReply> LoggedFilesystem::open(Caller who, Ino ino, std::uint32_t flags, bool kill_suidgid) {
  bool told_anyway = words::is_access_log(ino);  // by itself
  if (!log_.is_read() && !told_anyway) return inner_.open(who, ino, flags, kill_suidgid);
  Told told{log_, who, fmt::format("open ({},{:#x})", ino.value, flags)};
  return told.when_done(inner_.open(who, ino, flags, kill_suidgid), handle_of);
}

Answer<CreateReply> LoggedFilesystem::create(Caller who, Ino parent, std::string_view name, std::uint32_t mode,
                                             std::uint32_t umask, std::uint32_t flags) {
  if (!log_.is_read()) return inner_.create(who, parent, name, mode, umask, flags);
  Told told{log_, who, fmt::format("create ({},{},{})", parent.value, quoted(name), words::mode(mode, S_IFMT | 07777))};
  return told.when_done(inner_.create(who, parent, name, mode, umask, flags), created);
}

Answer<CreateReply> LoggedFilesystem::tmpfile(Caller who, Ino parent, std::uint32_t mode, std::uint32_t umask,
                                              std::uint32_t flags) {
  if (!log_.is_read()) return inner_.tmpfile(who, parent, mode, umask, flags);
  Told told{log_, who, fmt::format("tmpfile ({},{})", parent.value, words::mode(mode, S_IFMT | 07777))};
  return told.when_done(inner_.tmpfile(who, parent, mode, umask, flags), created);
}

Answer<ReadReply> LoggedFilesystem::read(Caller who, Ino ino, HandleId handle, std::uint64_t offset, std::uint32_t size,
                                         std::uint32_t open_flags) {
  // Who reads the log would make a line by each look at it.
  if (!log_.is_read() || words::is_access_log(ino)) return inner_.read(who, ino, handle, offset, size, open_flags);
  Told told{log_, who, fmt::format("read ({},{},{},{})", ino.value, size, offset, handle.value)};
  return told.when_done(inner_.read(who, ino, handle, offset, size, open_flags), [](const ReadReply& reply) {
    std::size_t bytes = 0;
    for (const auto& piece : reply.pieces) bytes += piece.iov_len;
    return fmt::format(": ({})", bytes);
  });
}

Answer<std::uint32_t> LoggedFilesystem::write(Caller who, Ino ino, HandleId handle, std::uint64_t offset,
                                              std::span<const std::byte> data, std::uint32_t open_flags,
                                              bool kill_suidgid, bool from_page_cache) {
  if (!log_.is_read()) return inner_.write(who, ino, handle, offset, data, open_flags, kill_suidgid, from_page_cache);
  Told told{log_, who, fmt::format("write ({},{},{},{})", ino.value, data.size(), offset, handle.value)};
  return told.when_done(inner_.write(who, ino, handle, offset, data, open_flags, kill_suidgid, from_page_cache));
}

Answer<void> LoggedFilesystem::flush(Caller who, Ino ino, HandleId handle, std::uint64_t lock_owner) {
  if (!log_.is_read()) return inner_.flush(who, ino, handle, lock_owner);
  Told told{log_, who, fmt::format("flush ({},{},{:016X})", ino.value, handle.value, lock_owner)};
  return told.when_done(inner_.flush(who, ino, handle, lock_owner));
}

Answer<void> LoggedFilesystem::fsync(Caller who, Ino ino, HandleId handle, bool data_only) {
  if (!log_.is_read()) return inner_.fsync(who, ino, handle, data_only);
  Told told{log_, who, fmt::format("fsync ({},{})", ino.value, data_only ? 1 : 0)};
  return told.when_done(inner_.fsync(who, ino, handle, data_only));
}

Answer<void> LoggedFilesystem::release(Caller who, Ino ino, HandleId handle, std::uint64_t lock_owner,
                                       bool release_flock) {
  if (!log_.is_read()) return inner_.release(who, ino, handle, lock_owner, release_flock);
  Told told{log_, who, fmt::format("release ({},{})", ino.value, handle.value)};
  return told.when_done(inner_.release(who, ino, handle, lock_owner, release_flock));
}

Answer<void> LoggedFilesystem::fallocate(Caller who, Ino ino, HandleId handle, std::uint64_t offset,
                                         std::uint64_t length, std::uint32_t mode) {
  if (!log_.is_read()) return inner_.fallocate(who, ino, handle, offset, length, mode);
  Told told{log_, who, fmt::format("fallocate ({},{},{},{})", ino.value, mode, offset, length)};
  return told.when_done(inner_.fallocate(who, ino, handle, offset, length, mode));
}

Answer<std::uint64_t> LoggedFilesystem::lseek(Caller who, Ino ino, HandleId handle, std::uint64_t offset,
                                              std::uint32_t whence) {
  return inner_.lseek(who, ino, handle, offset, whence);
}

Answer<std::uint64_t> LoggedFilesystem::copy_range(Caller who, Ino in, HandleId in_handle, std::uint64_t in_offset,
                                                   Ino out, HandleId out_handle, std::uint64_t out_offset,
                                                   std::uint64_t length) {
  if (!log_.is_read()) return inner_.copy_range(who, in, in_handle, in_offset, out, out_handle, out_offset, length);
  Told told{log_, who,
            fmt::format("copy_file_range ({},{},{},{},{},0)", in.value, in_offset, out.value, out_offset, length)};
  return told.when_done(inner_.copy_range(who, in, in_handle, in_offset, out, out_handle, out_offset, length));
}

// ---- directories ------------------------------------------------------------------------------------------------

Answer<OpenReply> LoggedFilesystem::opendir(Caller who, Ino ino, std::uint32_t flags) {
  if (!log_.is_read()) return inner_.opendir(who, ino, flags);
  Told told{log_, who, fmt::format("opendir ({})", ino.value)};
  return told.when_done(inner_.opendir(who, ino, flags), handle_of);
}

Answer<void> LoggedFilesystem::readdir(Caller who, Ino ino, HandleId handle, std::uint64_t cookie, bool plus,
                                       DirSink sink) {
  if (!log_.is_read()) return inner_.readdir(who, ino, handle, cookie, plus, std::move(sink));
  auto taken = std::make_shared<std::size_t>(0);
  DirSink counting = [sink = std::move(sink), taken](const DirEntry& one) {
    bool took = sink(one);
    *taken += took ? 1 : 0;
    return took;
  };
  Told told{log_, who, fmt::format("readdir ({},0,{},{})", ino.value, cookie, plus)};
  return told.when_done(inner_.readdir(who, ino, handle, cookie, plus, std::move(counting)),
                        [taken] { return fmt::format(": ({})", *taken); });
}

Answer<void> LoggedFilesystem::releasedir(Caller who, Ino ino, HandleId handle) {
  if (!log_.is_read()) return inner_.releasedir(who, ino, handle);
  Told told{log_, who, fmt::format("releasedir ({})", ino.value)};
  return told.when_done(inner_.releasedir(who, ino, handle));
}

// ---- locks, ioctl -----------------------------------------------------------------------------------------------

Answer<LockRange> LoggedFilesystem::getlk(Caller who, Ino ino, HandleId handle, std::uint64_t owner, LockRange range) {
  if (!log_.is_read()) return inner_.getlk(who, ino, handle, owner, range);
  Told told{log_, who, fmt::format("getlk ({},{},{:016X})", ino.value, handle.value, owner)};
  return told.when_done(inner_.getlk(who, ino, handle, owner, range), [](const LockRange& found) {
    return fmt::format(": ({},{},{},{})", found.start, found.end, words::lock_type(found.type), found.pid);
  });
}

Answer<void> LoggedFilesystem::setlk(Caller who, Ino ino, HandleId handle, std::uint64_t owner, LockRange range,
                                     bool wait) {
  if (!log_.is_read()) return inner_.setlk(who, ino, handle, owner, range, wait);
  Told told{log_, who,
            fmt::format("setlk ({},{},{:016X},{},{},{},{},{})", ino.value, handle.value, owner, range.start, range.end,
                        words::lock_type(range.type), wait, range.pid)};
  return told.when_done(inner_.setlk(who, ino, handle, owner, range, wait));
}

Answer<void> LoggedFilesystem::flock(Caller who, Ino ino, HandleId handle, std::uint64_t owner, std::uint32_t type,
                                     bool wait) {
  if (!log_.is_read()) return inner_.flock(who, ino, handle, owner, type, wait);
  Told told{log_, who,
            fmt::format("flock ({},{},{:016X},{},{})", ino.value, handle.value, owner, words::flock_type(type), wait)};
  return told.when_done(inner_.flock(who, ino, handle, owner, type, wait));
}

Answer<IoctlReply> LoggedFilesystem::ioctl(Caller who, Ino ino, HandleId handle, std::uint32_t command,
                                           std::span<const std::byte> in, std::uint32_t out_size) {
  if (!log_.is_read()) return inner_.ioctl(who, ino, handle, command, in, out_size);
  Told told{log_, who, fmt::format("ioctl ({},0x{:X},0x0,{},{})", ino.value, command, in.size(), out_size)};
  return told.when_done(inner_.ioctl(who, ino, handle, command, in, out_size));
}

}  // namespace kiseki::vfs
