#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <mutex>
#include <string>

#include "core/async.hpp"
#include "refusing_filesystem.hpp"

namespace kiseki::fuse::test {

/// A tiny file system in memory, for mounting: files, directories, symlinks, xattrs. Every other answer comes later.
class MemoryFiles final : public RefusingFilesystem {
 public:
  MemoryFiles() {
    nodes_[1].attr = make(meta::FileType::directory, 0755, {.uid = ::getuid(), .gid = ::getgid()});
    nodes_[1].attr.nlink = 2;
  }
  std::atomic<int> destroyed_calls{0}, open_handles{0};
  std::atomic<vfs::KernelCache*> cache{nullptr};

  void attached(vfs::KernelCache& kernel) override { cache = &kernel; }
  Answer<vfs::EntryReply> lookup(Caller, Ino parent, Name name) override {
    return sooner_or_later([this, parent, name = std::string(name)]() -> Result<vfs::EntryReply> {
      TRY(u64 found, child(parent, name));
      return entry(found);
    });
  }
  Answer<vfs::AttrReply> getattr(Caller, Ino ino, std::optional<Handle>) override {
    return sooner_or_later([this, ino]() -> Result<vfs::AttrReply> {
      return vfs::AttrReply{ino, nodes_[ino.value].attr, std::chrono::seconds(1)};
    });
  }
  Answer<vfs::AttrReply> setattr(Caller, Ino ino, vfs::SetAttr change) override {
    return sooner_or_later([this, ino, change]() -> Result<vfs::AttrReply> {
      auto& node = nodes_[ino.value];
      if (change.set & meta::kMode) node.attr.mode = change.to.mode;
      if (change.set & meta::kUid) node.attr.uid = change.to.uid;
      if (change.set & meta::kGid) node.attr.gid = change.to.gid;
      if (change.set & meta::kMtime && !change.mtime_now) node.attr.mtime = change.to.mtime;
      if (change.set & meta::kLength) node.content.resize(change.to.length), node.attr.length = change.to.length;
      return vfs::AttrReply{ino, node.attr, std::chrono::seconds(1)};
    });
  }
  Answer<vfs::EntryReply> mkdir(Caller who, Ino parent, Name name, u32 mode, u32) override {
    return added(parent, name, make(meta::FileType::directory, mode, who), {});
  }
  Answer<vfs::EntryReply> mknod(Caller who, Ino parent, Name name, u32 mode, u32, u32 rdev) override {
    auto attr = make(S_ISFIFO(mode)  ? meta::FileType::fifo
                     : S_ISCHR(mode) ? meta::FileType::char_device
                                     : meta::FileType::file,
                     mode, who);
    attr.rdev = rdev;
    return added(parent, name, attr, {});
  }
  Answer<vfs::EntryReply> symlink(Caller who, Ino parent, Name name, Name target) override {
    return added(parent, name, make(meta::FileType::symlink, 0777, who), std::string(target));
  }
  Answer<std::string> readlink(Caller, Ino ino) override {
    std::lock_guard lock(mutex_);
    return now(nodes_[ino.value].content);
  }
  Answer<void> unlink(Caller, Ino parent, Name name) override { return removed(parent, name); }
  Answer<void> rmdir(Caller, Ino parent, Name name) override { return removed(parent, name); }
  Answer<void> rename(Caller, Ino from, Name name, Ino to, Name new_name, u32) override {
    std::lock_guard lock(mutex_);
    auto found = child(from, std::string(name));
    if (!found) return found.error();
    nodes_[from.value].children.erase(std::string(name));
    nodes_[to.value].children[std::string(new_name)] = *found;
    return fine();
  }
  Answer<vfs::OpenReply> open(Caller, Ino ino, u32 flags, bool) override {
    std::lock_guard lock(mutex_);
    if (flags & O_TRUNC) nodes_[ino.value].content.clear(), nodes_[ino.value].attr.length = 0;
    ++open_handles;
    return now(vfs::OpenReply{Handle{7}});
  }
  Answer<vfs::CreateReply> create(Caller who, Ino parent, Name name, u32 mode, u32, u32) override {
    return sooner_or_later([this, who, parent, mode, name = std::string(name)]() -> Result<vfs::CreateReply> {
      ++open_handles;
      return vfs::CreateReply{entry(add(parent, name, make(meta::FileType::file, mode, who), {})), {Handle{7}}};
    });
  }
  Answer<vfs::ReadReply> read(Caller, Ino ino, Handle, u64 offset, u32 size, u32) override {
    return sooner_or_later([this, ino, offset, size]() -> Result<vfs::ReadReply> {
      const auto& content = nodes_[ino.value].content;
      auto part = std::make_shared<std::string>(offset < content.size() ? content.substr(offset, size) : "");
      vfs::ReadReply reply;
      reply.pieces.push_back({part->data(), part->size()});
      reply.owner = part;
      return reply;
    });
  }
  Answer<u32> write(Caller, Ino ino, Handle, u64 offset, std::span<const std::byte> data, u32, bool, bool) override {
    return sooner_or_later([this, ino, offset, data]() -> Result<u32> {
      auto& node = nodes_[ino.value];
      if (node.content.size() < offset + data.size()) node.content.resize(offset + data.size());
      std::memcpy(node.content.data() + offset, data.data(), data.size());
      node.attr.length = node.content.size();
      return static_cast<u32>(data.size());
    });
  }
  Answer<void> flush(Caller, Ino, Handle, u64) override { return fine(); }
  Answer<void> fsync(Caller, Ino, Handle, bool) override { return fine(); }
  Answer<void> release(Caller, Ino, Handle, u64, bool) override {
    --open_handles;
    return fine();
  }
  Answer<vfs::OpenReply> opendir(Caller, Ino, u32) override { return now(vfs::OpenReply{Handle{8}}); }
  Answer<void> releasedir(Caller, Ino, Handle) override { return fine(); }
  Answer<void> readdir(Caller, Ino ino, Handle, u64 cookie, bool plus, vfs::DirSink sink) override {
    std::lock_guard lock(mutex_);
    std::map<u64, std::string> by_number;  // a cookie that stays right while entries come and go
    for (const auto& [name, number] : nodes_[ino.value].children) by_number[number] = name;
    for (auto at = by_number.upper_bound(cookie); at != by_number.end(); ++at) {
      auto full = entry(at->first);
      if (!sink({Ino{at->first}, at->second, full.attr.type, at->first, plus ? &full : nullptr})) break;
    }
    return fine();
  }
  Answer<vfs::StatfsReply> statfs(Caller, Ino) override { return now(vfs::StatfsReply{1 << 30, 1 << 29, 100, 50}); }
  Answer<void> setxattr(Caller, Ino ino, Name name, Name value, u32) override {
    std::lock_guard lock(mutex_);
    nodes_[ino.value].xattrs[std::string(name)] = value;
    return fine();
  }
  Answer<std::string> getxattr(Caller, Ino ino, Name name) override {
    std::lock_guard lock(mutex_);
    auto& xattrs = nodes_[ino.value].xattrs;
    auto found = xattrs.find(std::string(name));
    if (found == xattrs.end()) return posix(ENODATA);
    return now(found->second);
  }
  Answer<void> setlk(Caller, Ino, Handle, u64, vfs::LockRange, bool wait) override {
    if (wait) return wait_for_ever();
    return fine();
  }
  asio::awaitable<void> destroyed() override {
    ++destroyed_calls;
    co_return;
  }

  void change_behind_the_kernel(const std::string& name, const std::string& content) {
    std::lock_guard lock(mutex_);
    auto number = nodes_[1].children.at(name);
    nodes_[number].content = content;
    nodes_[number].attr.length = content.size();
    cache.load()->forget_data(Ino{number}, 0, 0);
    cache.load()->forget_entry(kRootIno, name);
  }

 private:
  struct Node {
    vfs::Attr attr;
    std::string content;
    std::map<std::string, u64> children;
    std::map<std::string, std::string> xattrs;
  };
  static vfs::Attr make(meta::FileType type, u32 mode, Caller who) {
    vfs::Attr attr;
    attr.type = type;
    attr.mode = static_cast<std::uint16_t>(mode & 07777);
    attr.uid = who.uid;
    attr.gid = who.gid;
    attr.nlink = 1;
    attr.mtime = {-86400, 5};
    if (type == meta::FileType::directory) attr.length = 4096;
    return attr;
  }
  template <class F, class T = typename std::invoke_result_t<F>::value_type>
  Answer<T> sooner_or_later(F work) {
    if (++count_ % 2 == 0) {
      std::lock_guard lock(mutex_);
      return work();
    }
    return later(std::move(work));
  }
  template <class F, class R = std::invoke_result_t<F>>
  asio::awaitable<R> later(F work) {
    co_await sleep_for(std::chrono::microseconds(50));
    std::lock_guard lock(mutex_);
    co_return work();
  }
  Async<void> wait_for_ever() {
    co_await sleep_for(std::chrono::hours(1));
    co_return Result<void>{};
  }
  Result<u64> child(Ino parent, const std::string& name) {
    auto& children = nodes_[parent.value].children;
    auto found = children.find(name);
    if (found == children.end()) return posix(ENOENT);
    return found->second;
  }
  vfs::EntryReply entry(u64 number) {
    return {Ino{number}, nodes_[number].attr, std::chrono::seconds(60), std::chrono::seconds(60)};
  }
  u64 add(Ino parent, const std::string& name, vfs::Attr attr, std::string content) {
    auto number = ++last_;
    attr.length = attr.is_dir() ? 4096 : content.size();
    nodes_[number].attr = attr;
    nodes_[number].content = std::move(content);
    nodes_[parent.value].children[name] = number;
    return number;
  }
  Answer<vfs::EntryReply> added(Ino parent, Name name, vfs::Attr attr, std::string content) {
    std::lock_guard lock(mutex_);
    return now(entry(add(parent, std::string(name), attr, std::move(content))));
  }
  Answer<void> removed(Ino parent, Name name) {
    std::lock_guard lock(mutex_);
    if (nodes_[parent.value].children.erase(std::string(name)) == 0) return posix(ENOENT);
    return fine();
  }

  std::mutex mutex_;  // guards nodes_ and last_
  std::map<u64, Node> nodes_;
  u64 last_ = 1;
  std::atomic<unsigned> count_{0};
};

}  // namespace kiseki::fuse::test
