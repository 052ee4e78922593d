#include <algorithm>
#include <array>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <type_traits>

#include "fuse/worker.hpp"

/// Each request in the file system's words, and its answer in the kernel's.
namespace kiseki::fuse {
namespace {

constexpr std::uint32_t kMostListing = 1u << 20;  // bytes of one READDIR answer

constexpr std::uint32_t kLongestLink = 4095;          // bytes of a symlink's target: a page and its NUL
constexpr std::uint64_t kMostCopied32 = 0xFFFFF000u;  // COPY_FILE_RANGE answers with 32 bits; whole pages of it

}  // namespace

template <class T, class Send>
void Worker::settle(Delivery& delivery, Answer<T> answer, Send send) {
  if (!answer.ready()) return launch(delivery, settle_later<T>(delivery, answer.later(), send));
  auto& now = answer.now();
  if (!now) {
    send_error(delivery, now.error());
  } else if constexpr (std::is_void_v<T>) {
    send(delivery);
  } else {
    send(delivery, *now);
  }
  queue_->recycle(delivery);
}

template <class T, class Send>
asio::awaitable<void> Worker::settle_later(Delivery& delivery, Async<T> work, Send send) {
  auto result = co_await std::move(work);
  if (!result) {
    send_error(delivery, result.error());
  } else if constexpr (std::is_void_v<T>) {
    send(delivery);
  } else {
    send(delivery, *result);
  }
}

void Worker::launch(Delivery& delivery, asio::awaitable<void> work) {
  in_flight_.add(delivery);
  auto finish = [this, &delivery](std::exception_ptr failure) { finished(delivery, failure); };
  asio::co_spawn(loop_, std::move(work), asio::bind_cancellation_slot(delivery.cancel.slot(), finish));
}

template <class T>
void Worker::send_struct(Delivery& delivery, const T& out) {
  send_bytes(delivery, std::as_bytes(std::span(&out, 1)));
}
template void Worker::send_struct(Delivery&, const abi::InitOut&);

void Worker::send_created(Delivery& delivery, const vfs::CreateReply& created) {
  struct {
    fuse_entry_out entry;
    fuse_open_out open;
  } out{encode_entry(created.entry), encode_open(created.open)};
  send_struct(delivery, out);
}

void Worker::send_read(Delivery& delivery, vfs::ReadReply& reply) {
  std::size_t room = delivery.limit;
  auto keep = reply.pieces.begin();
  for (; keep != reply.pieces.end() && room > 0;
       ++keep) {  // never more than was asked for: the kernel would refuse all
    keep->iov_len = std::min(keep->iov_len, room);
    room -= keep->iov_len;
  }
  reply.pieces.erase(keep, reply.pieces.end());
  meter_.read(delivery.limit - room);
  send_body(delivery, reply.pieces);
}

void Worker::send_bytes(Delivery& delivery, std::span<const std::byte> bytes) {
  iovec one{const_cast<std::byte*>(bytes.data()), bytes.size()};
  send_body(delivery, {&one, 1});
}

void Worker::send_sized(Delivery& delivery, std::string_view value) {
  if (delivery.limit == 0) return send_struct(delivery, fuse_getxattr_out{static_cast<std::uint32_t>(value.size()), 0});
  if (value.size() > delivery.limit) return send_errno(delivery, ERANGE);
  send_bytes(delivery, std::as_bytes(std::span(value)));
}

void Worker::send_ioctl(Delivery& delivery, const vfs::IoctlReply& reply) {
  fuse_ioctl_out out{reply.result, 0, 0, 0};
  std::array<iovec, 2> body{
      {{&out, sizeof out},
       {const_cast<std::byte*>(reply.out.data()), std::min<std::size_t>(reply.out.size(), delivery.limit)}}};
  send_body(delivery, body);
}

/// One request being asked: an overload per type of decode.hpp.
class Asking {
  // How each kind of success is sent.
  auto entry() {
    return [&w = w_](Delivery& to, const vfs::EntryReply& reply) { w.send_struct(to, encode_entry(reply)); };
  }
  auto attr() {
    return [&w = w_](Delivery& to, const vfs::AttrReply& reply) { w.send_struct(to, encode_attr_reply(reply)); };
  }
  auto opened() {
    return [&w = w_](Delivery& to, const vfs::OpenReply& reply) { w.send_struct(to, encode_open(reply)); };
  }
  auto created() {
    return [&w = w_](Delivery& to, const vfs::CreateReply& reply) { w.send_created(to, reply); };
  }
  auto sized() {
    return [&w = w_](Delivery& to, const std::string& value) { w.send_sized(to, value); };
  }
  auto nothing() {
    return [&w = w_](Delivery& to) { w.send_body(to, {}); };
  }

 public:
  Asking(Worker& worker, Delivery& delivery)
      : w_(worker), d_(delivery), fs_(worker.shared_.fs), who_(worker.caller(delivery)), ino_(worker.node(delivery)) {}

  void operator()(const Lookup& r) { w_.settle(d_, fs_.lookup(who_, ino_, r.name), entry()); }
  void operator()(const Forget& r) {
    fs_.forget(ino_, r.lookups);
    w_.queue_->recycle(d_);
  }
  void operator()(const BatchForget& r) {
    for (std::uint32_t i = 0; i < r.count; ++i) fs_.forget(r.at(i).ino, r.at(i).lookups);
    w_.queue_->recycle(d_);
  }
  void operator()(const Getattr& r) { w_.settle(d_, fs_.getattr(who_, ino_, r.handle), attr()); }
  void operator()(const Setattr& r) { w_.settle(d_, fs_.setattr(who_, ino_, r.change), attr()); }
  void operator()(const Readlink&) {
    d_.limit = kLongestLink;
    w_.settle(d_, fs_.readlink(who_, ino_), sized());
  }
  void operator()(const Symlink& r) { w_.settle(d_, fs_.symlink(who_, ino_, r.name, r.target), entry()); }
  void operator()(const Mknod& r) { w_.settle(d_, fs_.mknod(who_, ino_, r.name, r.mode, r.umask, r.rdev), entry()); }
  void operator()(const Mkdir& r) { w_.settle(d_, fs_.mkdir(who_, ino_, r.name, r.mode, r.umask), entry()); }
  void operator()(const Unlink& r) { w_.settle(d_, fs_.unlink(who_, ino_, r.name), nothing()); }
  void operator()(const Rmdir& r) { w_.settle(d_, fs_.rmdir(who_, ino_, r.name), nothing()); }
  void operator()(const Rename& r) {
    w_.settle(d_, fs_.rename(who_, ino_, r.name, r.to, r.new_name, r.flags), nothing());
  }
  void operator()(const Link& r) { w_.settle(d_, fs_.link(who_, r.ino, ino_, r.name), entry()); }

  void operator()(const Open& r) { w_.settle(d_, fs_.open(who_, ino_, r.flags, r.kill_suidgid), opened()); }
  void operator()(const Create& r) {
    w_.settle(d_, fs_.create(who_, ino_, r.name, r.mode, r.umask, r.flags), created());
  }
  void operator()(const Tmpfile& r) { w_.settle(d_, fs_.tmpfile(who_, ino_, r.mode, r.umask, r.flags), created()); }
  void operator()(const Read& r) {
    d_.limit = r.size;
    auto send = [&w = w_](Delivery& to, vfs::ReadReply& reply) { w.send_read(to, reply); };
    w_.settle(d_, fs_.read(who_, ino_, r.handle, r.offset, r.size, r.flags), send);
  }
  void operator()(const Write& r) {
    auto send = [&w = w_](Delivery& to, std::uint32_t n) {
      w.meter_.written(n);
      w.send_struct(to, fuse_write_out{n, 0});
    };
    auto answer = fs_.write(who_, ino_, r.handle, r.offset, r.data, r.flags, r.kill_suidgid, r.from_page_cache);
    w_.settle(d_, std::move(answer), send);
  }
  void operator()(const Flush& r) { w_.settle(d_, fs_.flush(who_, ino_, r.handle, r.lock_owner), nothing()); }
  void operator()(const Fsync& r) { w_.settle(d_, fs_.fsync(who_, ino_, r.handle, r.data_only), nothing()); }
  void operator()(const Release& r) {
    w_.settle(d_, fs_.release(who_, ino_, r.handle, r.lock_owner, r.release_flock), nothing());
  }
  void operator()(const Fallocate& r) {
    w_.settle(d_, fs_.fallocate(who_, ino_, r.handle, r.offset, r.length, r.mode), nothing());
  }
  void operator()(const Lseek& r) {
    auto send = [&w = w_](Delivery& to, std::uint64_t offset) { w.send_struct(to, fuse_lseek_out{offset}); };
    w_.settle(d_, fs_.lseek(who_, ino_, r.handle, r.offset, r.whence), send);
  }
  void operator()(const CopyRange& r) {
    auto length = r.wide ? r.length : std::min<std::uint64_t>(r.length, kMostCopied32);
    auto send = [&w = w_, wide = r.wide](Delivery& to, std::uint64_t copied) {
      if (wide) return w.send_struct(to, abi::CopyFileRangeOut{copied});
      w.send_struct(to, fuse_write_out{static_cast<std::uint32_t>(copied), 0});
    };
    auto answer = fs_.copy_range(who_, ino_, r.in_handle, r.in_offset, r.out, r.out_handle, r.out_offset, length);
    w_.settle(d_, std::move(answer), send);
  }

  void operator()(const Opendir& r) { w_.settle(d_, fs_.opendir(who_, ino_, r.flags), opened()); }
  void operator()(const Readdir& r) {
    auto size = std::min(r.size, kMostListing);
    d_.listing = DirWriter(w_.queue_->space(d_, size).first(size), r.plus);
    auto sink = [&d = d_](const vfs::DirEntry& one) { return d.listing.add(one); };
    auto send = [&w = w_](Delivery& to) { w.send_bytes(to, to.listing.written()); };
    w_.settle(d_, fs_.readdir(who_, ino_, r.handle, r.cookie, r.plus, sink), send);
  }
  void operator()(const Releasedir& r) { w_.settle(d_, fs_.releasedir(who_, ino_, r.handle), nothing()); }
  void operator()(const Fsyncdir& r) { w_.settle(d_, fs_.fsyncdir(who_, ino_, r.handle), nothing()); }

  void operator()(const Statfs&) {
    auto send = [&w = w_](Delivery& to, const vfs::StatfsReply& reply) { w.send_struct(to, encode_statfs(reply)); };
    w_.settle(d_, fs_.statfs(who_, ino_), send);
  }
  void operator()(const Access& r) { w_.settle(d_, fs_.access(who_, ino_, r.mask), nothing()); }
  void operator()(const Setxattr& r) {
    if (!has_xattrs()) return w_.done(d_, ENOSYS);  // the kernel remembers and asks no more
    w_.settle(d_, fs_.setxattr(who_, ino_, r.name, r.value, r.flags), nothing());
  }
  void operator()(const Getxattr& r) {
    if (!has_xattrs()) return w_.done(d_, ENOSYS);
    d_.limit = r.size;
    w_.settle(d_, fs_.getxattr(who_, ino_, r.name), sized());
  }
  void operator()(const Listxattr& r) {
    if (!has_xattrs()) return w_.done(d_, ENOSYS);
    d_.limit = r.size;
    w_.settle(d_, fs_.listxattr(who_, ino_), sized());
  }
  void operator()(const Removexattr& r) {
    if (!has_xattrs()) return w_.done(d_, ENOSYS);
    w_.settle(d_, fs_.removexattr(who_, ino_, r.name), nothing());
  }

  void operator()(const Getlk& r) {
    auto send = [&w = w_](Delivery& to, const vfs::LockRange& range) { w.send_struct(to, encode_lock(range)); };
    w_.settle(d_, fs_.getlk(who_, ino_, r.handle, r.owner, r.range), send);
  }
  void operator()(const Setlk& r) {
    if (r.wait) {  // waiters could use up the bound, and the unlock they wait for never get in
      d_.waits_for_lock = true;
      w_.queue_->set_aside(d_);
    }
    w_.settle(d_,
              r.flock ? fs_.flock(who_, ino_, r.handle, r.owner, r.range.type, r.wait)
                      : fs_.setlk(who_, ino_, r.handle, r.owner, r.range, r.wait),
              nothing());
  }
  void operator()(const Ioctl& r) {
    if (!options().ioctl) return w_.done(d_, ENOSYS);
    d_.limit = r.out_size;
    auto send = [&w = w_](Delivery& to, const vfs::IoctlReply& reply) { w.send_ioctl(to, reply); };
    w_.settle(d_, fs_.ioctl(who_, ino_, r.handle, r.command, r.in, r.out_size), send);
  }

  void operator()(const Init& r) { w_.init(d_, r); }
  void operator()(const Interrupt& r) { w_.interrupt_asked(d_, r.unique); }
  void operator()(const Destroy&) { w_.done(d_, 0); }  // what there is to flush is flushed when the session ends

 private:
  const SessionOptions& options() const { return w_.shared_.options; }
  bool has_xattrs() const { return options().xattr || options().acl; }  // ACLs travel as such
  Worker& w_;
  Delivery& d_;
  vfs::Filesystem& fs_;
  vfs::Caller who_;
  Ino ino_;
};

void Worker::serve(Delivery& delivery, const Body& body) {
  Asking asking(*this, delivery);
  std::visit(asking, body);
}

}  // namespace kiseki::fuse
