// Taking a name away from an inode: what unlink, rmdir and a rename onto something have in common.
#include <spdlog/fmt/fmt.h>

#include "meta/ops/common.hpp"
#include "meta/trash_hour.hpp"

namespace kiseki::meta::op {

std::string trash_name(Ino parent, Ino ino, std::string_view name) {
  auto full = fmt::format("{}-{}-{}", parent.value, ino.value, name);
  if (full.size() > kMaxName) full.resize(kMaxName);
  return full;
}

Keys keys_for_taking(Ino parent, const std::string& name, Ino trash) {
  Keys keys{AttrKey{parent}, EntryKey{parent, name}, ChildKey{parent, name}};
  if (trash.value != 0) keys.push_back(AttrKey{trash});
  return keys;
}

Async<Ino> trash_now(Client& client, Ino parent, bool skip, bool again) {
  if (skip || is_trash(parent) || !client.format()->has_trash()) co_return Ino{0};
  co_return co_await client.trash_hour().directory(client, again);
}

void tell_reaper(Client& client, const Taken& taken) {
  if (taken.file_released && client.reaper())
    client.reaper()->file_removed(taken.removed.ino, taken.removed.attr.length);
}

namespace {

struct Taking {
  Ino parent;
  std::string name;
  Ino ino;
  Timestamp now;
};

/// Hard-linked files are found through the links counted per parent.
void move_link(Txn& txn, Ino ino, Ino from, Ino to) {
  if (from.value != 0) txn.write(AddParent{ino, from, -1});
  if (to.value != 0) txn.write(AddParent{ino, to, 1});
}

void set_ctime(Txn& txn, Ino ino, Timestamp now, std::int32_t add_nlink = 0) {
  Attr to;
  to.ctime = now;
  txn.patch(ino, kCtime, to, add_nlink);
}

Async<void> into_trash(Txn& txn, const Taking& t, Ino trash) {
  auto attr = *txn.attr(t.ino);
  txn.check_attr(trash, kType);
  txn.write(PutEntry{{trash, trash_name(t.parent, t.ino, t.name)}, {t.ino, attr.type}});
  set_ctime(txn, t.ino, t.now);
  if (attr.parent.value == 0) {
    move_link(txn, t.ino, t.parent, trash);
  } else {
    Attr to;
    to.parent = trash;
    txn.patch(t.ino, kParent, to);
  }
  co_return co_await count_in_directory(txn, trash, weight_of(attr), false);
}

/// The inode goes with its last name: off the books of volume and owner.
Result<void> erase_inode(Txn& txn, Ino ino, const Attr& attr) {
  auto space = weight_of(attr).space;
  txn.write(EraseAttr{ino});
  txn.write(EraseXattrs{ino});
  if (attr.type == FileType::symlink) txn.write(EraseSymlink{ino});
  count_in_volume(txn, -space, -1);
  return count_for_owner(txn, attr.uid, attr.gid, -space, -1);
}

/// A file of length 0 whose first chunk has no record was never written to: a truncation leaves a record there. So
/// there is no data to delete.
bool never_written(Txn& txn, Ino ino, const Attr& attr) {
  if (!attr.is_file() || attr.length != 0) return false;
  auto& client = txn.client();
  auto slices = client.engine().coherent() ? client.cache().slices(ino, ChunkIndex{0}) : nullptr;
  if (!slices || !slices->empty()) return false;
  txn.check_attr(ino, kMtime);  // a write and a truncation meanwhile would show here
  return true;
}

Result<void> last_link(Txn& txn, const Taking& t, Taken& taken) {
  auto& client = txn.client();
  auto attr = *txn.attr(t.ino);
  if (attr.is_file() && client.session().value != 0) taken.removed.closed = client.keep_closed(t.ino);
  if (attr.is_file() && client.session().value != 0 && !taken.removed.closed) {
    set_ctime(txn, t.ino, t.now, -1);
    txn.write(PutSustained{client.session(), t.ino});
    txn.write(EraseXattrs{t.ino});
    taken.removed.attr = *txn.attr(t.ino);
    taken.removed.sustained = true;
    return done();
  }
  TRY_CHECK(erase_inode(txn, t.ino, attr));
  taken.removed.attr.nlink = 0;
  if (attr.is_file() && !never_written(txn, t.ino, attr)) {
    txn.write(PutDeletedFile{t.ino, attr.length, t.now.sec});
    taken.removed.data_released = taken.file_released = true;
  }
  return done();
}

Async<Taken> take_directory(Txn& txn, Taking t, Ino trash) {
  auto attr = *txn.attr(t.ino);
  Taken taken{{t.ino, attr}};
  txn.require(DirEmpty{t.ino}, ENOTEMPTY);
  txn.write(EraseDirStat{t.ino});
  QuotaKey quota{QuotaKind::directory, t.ino.value};
  if (txn.client().cache().quotas().find(quota)) txn.write(EraseQuota{quota});
  if (trash.value != 0) {
    CO_CHECK(co_await into_trash(txn, t, trash));
    taken.removed.attr = *txn.attr(t.ino);
  } else {
    CO_CHECK(erase_inode(txn, t.ino, attr));
    taken.removed.attr.nlink = 0;
  }
  co_return taken;
}

}  // namespace

Async<Taken> take_name(Txn& txn, Ino parent, std::string name, Ino ino, Ino trash, Timestamp now) {
  Taking t{parent, std::move(name), ino, now};
  auto* found = txn.attr(ino);
  if (!found) {  // a dangling entry: nothing was counted for it
    txn.check_attr(ino, kType);
    co_return Taken{{ino, Attr()}};
  }
  auto attr = *found;
  txn.check_attr(ino, kType | kFlags | kNlink | kParent | kLength | kUid | kGid);
  if (attr.flags & kSkipTrash) trash = Ino{0};
  if (trash.value != 0 && !txn.attr(trash)) co_return trash_vanished();
  CO_CHECK(co_await count_in_directory(txn, parent, minus(weight_of(attr)), false));
  if (attr.is_dir()) co_return co_await take_directory(txn, std::move(t), trash);

  if (trash.value != 0 && attr.nlink > 1) {  // one name of many: the same may lie in the trash already
    auto there = trash_name(t.parent, ino, t.name);
    CO_CHECK(co_await txn.load(EntryKey{trash, there}));
    txn.check_entry(trash, there);
    if (txn.entry(trash, there)) trash = Ino{0};
  }
  Taken taken{{ino, attr}};
  if (trash.value != 0) {
    CO_CHECK(co_await into_trash(txn, t, trash));
    taken.removed.attr = *txn.attr(ino);
    co_return taken;
  }
  if (attr.parent.value == 0) move_link(txn, ino, parent, Ino{0});
  if (attr.nlink > 1) {
    set_ctime(txn, ino, now, -1);
    taken.removed.attr = *txn.attr(ino);
    co_return taken;
  }
  CO_CHECK(last_link(txn, t, taken));
  co_return taken;
}

}  // namespace kiseki::meta::op
