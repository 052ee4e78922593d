// Internal files: .stats and .config are texts taken at open, .accesslog tells what is asked while it is read, .control
// carries requests of the command line (JuiceFS 1.4, tools.md section 3).
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/big_endian.hpp"
#include "vfs/control.hpp"
#include "vfs/internal_files.hpp"
#include "vfs/volume.hpp"

namespace kiseki::vfs {

namespace {

ReadReply text_reply(std::string text) {
  auto kept = std::make_shared<std::string>(std::move(text));
  ReadReply reply;
  if (!kept->empty()) reply.pieces.push_back({kept->data(), kept->size()});
  reply.owner = std::move(kept);
  return reply;
}

}  // namespace

std::optional<Ino> Volume::internal_by_name(Ino parent, std::string_view name) const {
  if (name.size() < 6 || name.front() != '.') return std::nullopt;
  constexpr std::string_view kPrefix = ".jfs";
  std::string_view bare = name;
  if (name.starts_with(".jfs."))
    bare.remove_prefix(kPrefix.size());
  else if (options_.prefix_internal)
    return std::nullopt;
  if (bare == ".control") return kControlIno;  // in every directory, so that tools reach it from any path
  if (inside(parent) != options_.root) return std::nullopt;
  if (bare.size() != name.size() && !options_.prefix_internal) return std::nullopt;
  if (bare == ".accesslog") return kAccessLogIno;
  if (bare == ".stats") return kStatsIno;
  if (bare == ".config") return kConfigIno;
  if (bare == ".trash" && !options_.subdir && client_.format()->has_trash()) return kTrashIno;
  return std::nullopt;
}

Attr Volume::internal_attr(Ino ino) const {
  std::uint16_t mode = ino == kControlIno ? 0666 : ino == kStatsIno ? 0444 : 0400;
  Attr attr;
  attr.mode = mode;
  attr.uid = ::getuid();
  attr.gid = ::getgid();
  attr.nlink = 1;
  attr.parent = kRootIno;
  attr.atime = attr.mtime = attr.ctime = mounted_;
  if (ino == kConfigIno && options_.config_text) attr.length = options_.config_text().size();
  return attr;
}

Answer<OpenReply> Volume::open_internal(Caller caller, Ino ino, std::uint32_t flags) {
  auto as = who(caller);
  auto attr = internal_attr(ino);
  if (meta::is_checked(as) && !(attr.mode & 0004) && as.uid != attr.uid) return posix(EACCES);
  if ((flags & O_ACCMODE) != O_RDONLY && ino != kControlIno) return posix(EACCES);
  auto handle = std::make_shared<InternalHandle>(ino, control_bytes_);
  if (ino == kAccessLogIno) handle->reader = std::make_shared<AccessLogReader>(access_log_);
  if (ino == kStatsIno && options_.stats_text) return open_stats(std::move(handle));
  if (ino == kConfigIno && options_.config_text) handle->content = options_.config_text();
  return Result<OpenReply>(OpenReply{.handle = internals_.add(std::move(handle)), .direct_io = true});
}

Async<OpenReply> Volume::open_stats(std::shared_ptr<InternalHandle> handle) {
  CO_TRY(handle->content, co_await options_.stats_text());
  co_return OpenReply{.handle = internals_.add(std::move(handle)), .direct_io = true};
}

Answer<ReadReply> Volume::read_internal(HandleId id, std::uint64_t offset, std::uint32_t size) {
  auto handle = internals_.find(id);
  if (!handle) return posix(EBADF);
  if (handle->reader) return read_access_log(handle->reader, size);
  std::lock_guard hold(handle->guard);
  auto at = offset - handle->dropped;  // wraps for what is dropped
  return Result<ReadReply>(text_reply(at < handle->content.size() ? handle->content.substr(at, size) : ""));
}

Async<ReadReply> Volume::read_access_log(std::shared_ptr<AccessLogReader> reader, std::uint32_t size) {
  CO_TRY(auto text, co_await AccessLogReader::read(std::move(reader), size));
  co_return text_reply(std::move(text));
}

Answer<std::uint32_t> Volume::write_internal(HandleId id, std::span<const std::byte> data) {
  auto handle = internals_.find(id);
  if (!handle) return posix(EBADF);
  auto accepted = static_cast<std::uint32_t>(data.size());
  std::lock_guard hold(handle->guard);
  std::string_view text(reinterpret_cast<const char*>(data.data()), data.size());
  if (handle->request.size() + text.size() > kMaxControlRequest) return posix(EFBIG);
  if (handle->request.empty()) {
    handle->dropped += handle->content.size();
    handle->content = {};
    handle->held.now(0);
  }
  if (control_bytes_ > kMostControlBytes) return posix(ENOBUFS);
  handle->request.append(text);
  handle->content.append(text);  // a reader goes on where the writer stopped
  handle->held.now(handle->content.size() + handle->request.size());
  if (!control_complete(handle->request)) return Result<std::uint32_t>(accepted);
  return control(handle, accepted);
}

Async<std::uint32_t> Volume::control(std::shared_ptr<InternalHandle> handle, std::uint32_t accepted) {
  std::string request;
  {
    std::lock_guard hold(handle->guard);
    request.swap(handle->request);
  }
  BigEndianReader in(request);
  auto op = in.u32(), length = in.u32();
  std::string reply;
  if (in.left() > length)
    reply = control_status(EIO);
  else if (op == static_cast<std::uint32_t>(ControlOp::info))
    reply = co_await [](Volume& volume, std::string body) -> asio::awaitable<std::string> {
      auto info = co_await volume.control_info(std::move(body));
      co_return info ? control_data(*info) : control_status(to_errno(info.error()));
    }(*this, std::string(in.bytes(length)));
  else
    reply = control_status(EINVAL);
  std::lock_guard hold(handle->guard);
  handle->content.append(reply);
  handle->held.now(handle->content.size());
  co_return accepted;
}

Async<std::string> Volume::control_info(std::string body) {
  BigEndianReader in(body);
  Ino ino = inside(Ino{in.u64()});
  if (!in.ok()) co_return posix(EINVAL);
  InfoRequest request{.ino = ino};
  if (in.left()) request.recursive = in.u8() != 0;
  if (in.left()) request.raw = in.u8() != 0;
  if (in.left()) request.strict = in.u8() != 0;
  (void)co_await settle(ino);
  co_return co_await info_json(client_, request);
}

}  // namespace kiseki::vfs
