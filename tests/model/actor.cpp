#include "actor.hpp"

#include <gtest/gtest.h>
#include <spdlog/fmt/fmt.h>

namespace kiseki::model {

namespace {

constexpr meta::Who kRoot{0, 0, false};

Time to_time(Timestamp t) { return {t.sec, t.nsec}; }
Timestamp to_timestamp(Time t) { return {t.sec, t.nsec}; }

}  // namespace

Actor::Actor(std::uint64_t seed, bool trash, std::vector<Mount*> mounts, std::shared_ptr<ManualClock> clock)
    : random_(seed),
      mounts_(std::move(mounts)),
      clock_(std::move(clock)),
      oracle_(trash, to_time(clock_->now())),
      inos_{kRootIno} {}

int Actor::likely_dir() {
  for (int tries = 0; tries < 6; ++tries) {
    int n = any_node();
    if (oracle_.node(n).kind == Kind::directory && oracle_.node(n).alive) return n;
  }
  return any_node();
}

int Actor::likely_file() {
  for (int tries = 0; tries < 8; ++tries) {
    int n = any_node();
    if (oracle_.node(n).kind == Kind::file && oracle_.node(n).alive) return n;
  }
  return any_node();
}

std::string Actor::name() {
  int n = pick(60);
  if (n == 0) return std::string(256, 'x');
  if (n == 1) return std::string(255, 'y');
  if (n == 2) return ".";
  return std::string(1, static_cast<char>('a' + n % 7));
}

std::uint64_t Actor::offset() {
  constexpr std::uint64_t kMark[] = {
      0, 1, 4095, 4096, 1 << 20, kChunkBytes - 1, kChunkBytes, kChunkBytes + 5, 2 * kChunkBytes, 3 * kChunkBytes - 7};
  return kMark[pick(10)] + static_cast<std::uint64_t>(pick(3)) * 1000;
}

// ---- the operations -----------------------------------------------------------------------------------------------

asio::awaitable<int> Actor::make_any(Kind kind, std::string target) {
  int parent = likely_dir();
  auto called = name();
  constexpr unsigned kModes[] = {0644, 0755, 0600, 04755, 02755, 02644};
  unsigned mode = kModes[pick(6)], uid = static_cast<unsigned>(pick(3)), gid = static_cast<unsigned>(pick(3));
  if (kind == Kind::symlink) mode = 0777;
  say(fmt::format("make kind {} {} in #{} mode {:o}", static_cast<int>(kind), called, parent, mode));
  int due = oracle_.make(who_, parent, called, kind, mode, uid, gid, target);
  meta::NewInode what{static_cast<meta::FileType>(kind), static_cast<std::uint16_t>(mode), 0, 0, target};
  auto result = co_await meta::make(client(), {uid, gid, false}, ino(parent), called, what);
  if (answer(result) == 0) made(result->ino);
  co_return due;
}

asio::awaitable<int> Actor::make_file() { return make_any(Kind::file, ""); }
asio::awaitable<int> Actor::make_dir() { return make_any(Kind::directory, ""); }
asio::awaitable<int> Actor::make_fifo() { return make_any(Kind::fifo, ""); }
asio::awaitable<int> Actor::make_symlink() {
  return make_any(Kind::symlink, std::string(static_cast<std::size_t>(1 + pick(300)), 't'));
}

asio::awaitable<int> Actor::make_nameless() {
  int parent = likely_dir();
  say(fmt::format("tmpfile in #{}", parent));
  int due = oracle_.make_nameless(who_, parent, 0600);
  meta::NewInode what{meta::FileType::file, 0600, 0, 0, {}};
  auto result = co_await meta::make_nameless(client(), kRoot, ino(parent), what);
  if (answer(result) == 0) {
    made(result->ino);
    mount().opened.push_back(result->ino);
  }
  co_return due;
}

asio::awaitable<int> Actor::link() {
  int n = likely_file(), parent = likely_dir();
  auto called = name();
  say(fmt::format("link #{} to {} in #{}", n, called, parent));
  int due = oracle_.link(who_, n, parent, called);
  answer(co_await meta::link(client(), kRoot, ino(n), ino(parent), called));
  co_return due;
}

asio::awaitable<int> Actor::unlink() {
  int parent = likely_dir();
  auto called = name();
  say(fmt::format("unlink {} in #{}", called, parent));
  if (called == ".") called = "a";
  int due = oracle_.unlink(who_, parent, called);
  answer(co_await meta::unlink(client(), kRoot, ino(parent), called));
  co_return due;
}

asio::awaitable<int> Actor::rmdir() {
  int parent = likely_dir();
  auto called = name();
  say(fmt::format("rmdir {} in #{}", called, parent));
  int due = oracle_.rmdir(parent, called);
  answer(co_await meta::rmdir(client(), kRoot, ino(parent), called));
  co_return due;
}

asio::awaitable<int> Actor::rename() {
  constexpr unsigned kFlags[] = {0, 0, 0, 0, 1, 2, 2, 4, 5, 3, 8};
  int from = likely_dir(), to = pick(3) == 0 ? from : likely_dir();
  auto called = name(), to_called = name();
  unsigned flags = kFlags[pick(11)];
  say(fmt::format("rename {} in #{} to {} in #{} flags {}", called, from, to_called, to, flags));
  int due = oracle_.rename(who_, from, called, to, to_called, flags);
  auto result = co_await meta::rename(client(), kRoot, ino(from), called, ino(to), to_called, flags);
  if (answer(result) == 0 && oracle_.size() > static_cast<int>(inos_.size())) {
    auto white = co_await meta::lookup(client(), ino(from), called);
    made(white ? white->ino : Ino{0});
  }
  co_return due;
}

asio::awaitable<int> Actor::chmod() {
  int n = any_node();
  unsigned mode = static_cast<unsigned>(pick(010000));
  say(fmt::format("chmod #{} {:o}", n, mode));
  int due = oracle_.chmod(n, mode);
  meta::AttrChange change;
  change.set = meta::kMode;
  change.to.mode = static_cast<std::uint16_t>(mode);
  answer(co_await meta::setattr(client(), kRoot, ino(n), change));
  co_return due;
}

asio::awaitable<int> Actor::chown() {
  int n = any_node();
  unsigned uid = static_cast<unsigned>(pick(4)), gid = static_cast<unsigned>(pick(4));
  say(fmt::format("chown #{} {}:{}", n, uid, gid));
  int due = oracle_.chown(n, uid, gid);
  meta::AttrChange change;
  change.set = meta::kUid | meta::kGid;
  change.to.uid = uid;
  change.to.gid = gid;
  answer(co_await meta::setattr(client(), kRoot, ino(n), change));
  co_return due;
}

asio::awaitable<int> Actor::utimes() {
  int n = any_node();
  Time atime{pick(2000) - 1000, static_cast<std::uint32_t>(pick(1'000'000'000))};
  Time mtime{pick(2) * 4'000'000'000 - 1'000'000'000, static_cast<std::uint32_t>(pick(1'000'000'000))};
  say(fmt::format("utimes #{} {} {}", n, atime.sec, mtime.sec));
  int due = oracle_.utimes(n, atime, mtime);
  meta::AttrChange change;
  change.set = meta::kAtime | meta::kMtime;
  change.to.atime = to_timestamp(atime);
  change.to.mtime = to_timestamp(mtime);
  answer(co_await meta::setattr(client(), kRoot, ino(n), change));
  co_return due;
}

asio::awaitable<int> Actor::chattr() {
  int n = any_node();
  unsigned flags = pick(4) == 0 ? static_cast<unsigned>(pick(3)) : 0;
  if (n == 0) flags = 0;
  // Protected things would pile up and nothing could happen any more: mostly take protection away.
  for (int k = 0; flags == 0 && k < oracle_.size(); ++k)
    if (oracle_.node(k).flags && oracle_.node(k).alive) n = k;
  say(fmt::format("chattr #{} {}", n, flags));
  int due = oracle_.chattr(n, flags);
  meta::AttrChange change;
  change.set = meta::kFlags;
  change.to.flags = static_cast<std::uint8_t>(flags);
  answer(co_await meta::setattr(client(), kRoot, ino(n), change));
  co_return due;
}

asio::awaitable<int> Actor::truncate() {
  int n = touched_ = likely_file();
  auto length = offset();
  say(fmt::format("truncate #{} {}", n, length));
  int due = oracle_.truncate(n, length);
  answer(co_await meta::truncate(client(), kRoot, ino(n), length, false));
  co_return due;
}

asio::awaitable<int> Actor::fallocate() {
  constexpr unsigned kModes[] = {0, 0, 1, 3, 3, 16, 17, 2, 8, 32, 18};
  int n = touched_ = likely_file();
  auto mode = kModes[pick(11)];
  auto from = offset(), size = offset();
  say(fmt::format("fallocate #{} mode {} {}+{}", n, mode, from, size));
  int due = oracle_.fallocate(n, mode, from, size);
  answer(co_await meta::fallocate(client(), meta::Who{}, ino(n), from, size, mode, false));
  co_return due;
}

asio::awaitable<int> Actor::write() {
  int n = touched_ = likely_file();
  auto from = offset();
  auto room = kChunkBytes - from % kChunkBytes;
  auto size = std::min<std::uint64_t>(
      room, 1 + static_cast<std::uint64_t>(pick(3)) * 1'500'000 + static_cast<std::uint64_t>(pick(5000)));
  auto id = co_await client().new_slice_id();
  if (!id) co_return ADD_FAILURE(), 0;
  say(fmt::format("write #{} {}+{} slice {}", n, from, size, id->value));
  int due = oracle_.write(n, from, size, id->value);
  Slice slice{static_cast<std::uint32_t>(from % kChunkBytes), *id, static_cast<std::uint32_t>(size), 0,
              static_cast<std::uint32_t>(size)};
  answer(co_await meta::write_slice(client(), ino(n), ChunkIndex{static_cast<std::uint32_t>(from / kChunkBytes)}, slice,
                                    clock_->now()));
  co_return due;
}

asio::awaitable<int> Actor::copy() {
  int in = likely_file(), out = touched_ = likely_file();
  auto from = offset(), to = offset(), size = offset();
  say(fmt::format("copy #{} {}+{} to #{} {}", in, from, size, out, to));
  int due = oracle_.copy(in, from, out, to, size);
  answer(co_await meta::copy_range(client(), meta::Who{}, ino(in), from, ino(out), to, size, false));
  co_return due;
}

asio::awaitable<int> Actor::set_xattr() {
  int n = any_node();
  auto key = fmt::format("user.{}", pick(3));
  std::string value(static_cast<std::size_t>(pick(10) == 0 ? 2000 : pick(50)), static_cast<char>('0' + pick(10)));
  unsigned flags = static_cast<unsigned>(pick(4));
  say(fmt::format("setxattr #{} {} flags {}", n, key, flags));
  int due = oracle_.set_xattr(n, key, value, flags);
  answer(co_await meta::set_xattr(client(), ino(n), key, value, flags));
  co_return due;
}

asio::awaitable<int> Actor::get_xattr() {
  int n = any_node();
  auto key = fmt::format("user.{}", pick(3));
  say(fmt::format("getxattr #{} {}", n, key));
  std::string due_value;
  int due = oracle_.get_xattr(n, key, due_value);
  auto result = co_await meta::get_xattr(client(), ino(n), key);
  if (answer(result) == 0) EXPECT_EQ(*result, due_value);
  co_return due;
}

asio::awaitable<int> Actor::remove_xattr() {
  int n = any_node();
  auto key = fmt::format("user.{}", pick(3));
  say(fmt::format("removexattr #{} {}", n, key));
  int due = oracle_.remove_xattr(n, key);
  answer(co_await meta::remove_xattr(client(), ino(n), key));
  co_return due;
}

asio::awaitable<int> Actor::list_xattrs() {
  int n = any_node();
  say(fmt::format("listxattr #{}", n));
  auto result = co_await meta::list_xattrs(client(), ino(n));
  if (answer(result) == 0) {
    std::vector<std::string> due;
    for (auto& [key, value] : oracle_.node(n).xattrs) due.push_back(key);
    EXPECT_EQ(*result, due);
  }
  co_return oracle_.node(n).alive ? 0 : ENOENT;
}

asio::awaitable<int> Actor::readlink() {
  int n = any_node();
  say(fmt::format("readlink #{}", n));
  std::string due_target;
  int due = oracle_.readlink(n, due_target);
  auto result = co_await meta::readlink(client(), ino(n));
  if (answer(result) == 0) EXPECT_EQ(*result, due_target);
  co_return due;
}

asio::awaitable<int> Actor::lookup() {
  int parent = likely_dir();
  auto called = name();
  if (called == ".") called = "b";
  say(fmt::format("lookup {} in #{}", called, parent));
  int due = called.size() > 255 ? ENAMETOOLONG : oracle_.child(parent, called) ? 0 : ENOENT;
  auto result = co_await meta::lookup(client(), ino(parent), called);
  if (answer(result) == 0 && due == 0) EXPECT_EQ(result->ino, ino(*oracle_.child(parent, called)));
  co_return due;
}

asio::awaitable<int> Actor::getattr() {
  int n = any_node();
  say(fmt::format("getattr #{}", n));
  auto result = co_await meta::getattr(client(), ino(n));
  if (answer(result) == 0) same_attr(fmt::format("#{}", n), n, *result);
  co_return oracle_.node(n).alive ? 0 : ENOENT;
}

asio::awaitable<int> Actor::open() {
  int n = likely_file();
  say(fmt::format("open #{}", n));
  got_ = 0;
  if (oracle_.node(n).alive && oracle_.node(n).kind == Kind::file && !mount().is_open(ino(n))) {
    oracle_.open(who_, n);
    mount().opened.push_back(ino(n));
  }
  co_return 0;
}

asio::awaitable<int> Actor::close() {
  got_ = 0;
  say("close nothing");
  if (mount().opened.empty()) co_return 0;
  auto which = mount().opened.begin() + pick(static_cast<int>(mount().opened.size()));
  auto it = std::find(inos_.begin(), inos_.end(), *which);
  int n = static_cast<int>(it - inos_.begin());
  say(fmt::format("close #{}", n));
  mount().opened.erase(which);
  if (oracle_.close(who_, n)) answer(co_await meta::release_sustained(client(), ino(n)));
  co_return 0;
}

asio::awaitable<int> Actor::reap() {
  got_ = 0;
  say("reap");
  auto removed = std::exchange(mount().removed, {});
  for (auto [gone, length] : removed) answer(co_await meta::delete_file_data(client(), gone, length));
  co_return 0;
}

// ---- comparing ----------------------------------------------------------------------------------------------------

asio::awaitable<bool> Actor::step() {
  static constexpr Step kSteps[] = {
      &Actor::make_file,    &Actor::make_file,     &Actor::make_dir,  &Actor::make_dir,     &Actor::make_fifo,
      &Actor::make_symlink, &Actor::make_nameless, &Actor::link,      &Actor::link,         &Actor::unlink,
      &Actor::unlink,       &Actor::unlink,        &Actor::rmdir,     &Actor::rmdir,        &Actor::rename,
      &Actor::rename,       &Actor::rename,        &Actor::rename,    &Actor::chmod,        &Actor::chown,
      &Actor::utimes,       &Actor::chattr,        &Actor::chattr,    &Actor::truncate,     &Actor::truncate,
      &Actor::fallocate,    &Actor::write,         &Actor::write,     &Actor::write,        &Actor::copy,
      &Actor::copy,         &Actor::set_xattr,     &Actor::get_xattr, &Actor::remove_xattr, &Actor::list_xattrs,
      &Actor::readlink,     &Actor::lookup,        &Actor::lookup,    &Actor::getattr,      &Actor::open,
      &Actor::open,         &Actor::close,         &Actor::reap};
  clock_->advance(std::chrono::milliseconds(1500));
  oracle_.set_now(to_time(clock_->now()));
  who_ = pick(static_cast<int>(mounts_.size()));
  touched_ = -1;
  auto op = kSteps[pick(static_cast<int>(std::size(kSteps)))];
  int due = co_await (this->*op)();
  trace_.push_back(fmt::format("client {} {} -> {}", who_, what_, got_));
  if (due == got_ && inos_.size() == static_cast<std::size_t>(oracle_.size())) co_return !testing::Test::HasFailure();
  ADD_FAILURE() << what_ << ": errno " << got_ << ", due was " << due;
  co_return false;
}

bool Actor::same_attr(const std::string& path, int n, const meta::Attr& attr) {
  auto& due = oracle_.node(n);
  auto tell = [&](const char* what, auto is, auto should) {
    if (is == should) return true;
    ADD_FAILURE() << path << " (#" << n << "): " << what << " is " << is << ", not " << should;
    return false;
  };
  auto seconds = [](Timestamp t) { return fmt::format("{}.{:09}", t.sec, t.nsec); };
  auto due_seconds = [](Time t) { return fmt::format("{}.{:09}", t.sec, t.nsec); };
  return tell("type", static_cast<int>(attr.type), static_cast<int>(due.kind)) &&
         tell("mode", unsigned{attr.mode}, due.mode) && tell("uid", attr.uid, due.uid) &&
         tell("gid", attr.gid, due.gid) && tell("nlink", attr.nlink, due.links) &&
         tell("length", attr.length, due.length) && tell("flags", unsigned{attr.flags}, due.flags) &&
         tell("atime", seconds(attr.atime), due_seconds(due.atime)) &&
         tell("mtime", seconds(attr.mtime), due_seconds(due.mtime)) &&
         tell("ctime", seconds(attr.ctime), due_seconds(due.ctime));
}

asio::awaitable<bool> Actor::same_tree() {
  std::vector<std::pair<std::string, int>> open{{"", 0}};
  auto root = co_await meta::getattr(client(), kRootIno);
  if (!root || !same_attr("/", 0, *root)) co_return false;
  while (!open.empty()) {
    auto [path, dir] = open.back();
    open.pop_back();
    auto names = oracle_.node(dir).names;
    std::string cursor;
    do {
      auto page = co_await meta::list(client(), ino(dir), cursor, 3, true);
      if (!page) co_return ADD_FAILURE() << path << ": " << page.error().message(), false;
      for (auto& listed : page->entries) {
        auto here = path + "/" + listed.name;
        auto it = names.find(listed.name);
        if (it == names.end()) co_return ADD_FAILURE() << here << " should not be there", false;
        int n = it->second;
        names.erase(it);
        if (listed.entry.ino != ino(n)) co_return ADD_FAILURE() << here << " is another inode", false;
        if (!listed.attr) co_return ADD_FAILURE() << here << " dangles", false;
        if (!same_attr(here, n, *listed.attr)) co_return false;
        if (oracle_.node(n).kind == Kind::directory) open.emplace_back(here, n);
      }
      cursor = page->next;
    } while (!cursor.empty());
    if (!names.empty()) co_return ADD_FAILURE() << path << "/" << names.begin()->first << " is missing", false;
  }
  if (touched_ < 0 || !oracle_.node(touched_).alive) co_return true;
  auto content = co_await stored_content(ino(touched_));
  if (!content) co_return ADD_FAILURE() << content.error().message(), false;
  auto due = oracle_.node(touched_).content;
  content->cut(oracle_.node(touched_).length);  // what stands beyond the end does not show
  if (*content == due) co_return true;
  ADD_FAILURE() << "#" << touched_ << " holds " << *content << "; due " << due;
  co_return false;
}

asio::awaitable<Result<Content>> Actor::stored_content(Ino file) {
  Content content;
  for (std::uint32_t index = 0; index < 8; ++index) {
    auto slices = co_await meta::read_slices(client(), file, ChunkIndex{index});
    if (!slices) co_return slices.error();
    auto base = index * kChunkBytes;
    for (auto& slice : *slices)
      content.paint(base + slice.pos, base + slice.pos + slice.len, slice.id.value, slice.off);
  }
  co_return content;
}

asio::awaitable<bool> Actor::same_contents() {
  for (int n = 0; n < oracle_.size(); ++n) {
    if (!oracle_.node(n).alive || oracle_.node(n).kind != Kind::file) continue;
    touched_ = n;
    if (!co_await same_tree()) co_return false;
  }
  co_return true;
}

asio::awaitable<void> Actor::close_all() {
  for (who_ = 0; who_ < static_cast<int>(mounts_.size()); ++who_) {
    while (!mount().opened.empty()) co_await close();
    co_await reap();
  }
  who_ = 0;
}

std::string Actor::trace(std::size_t last) const {
  std::string text;
  for (std::size_t i = trace_.size() > last ? trace_.size() - last : 0; i < trace_.size(); ++i)
    text += fmt::format("  {:4} {}\n", i, trace_[i]);
  return text;
}

}  // namespace kiseki::model
