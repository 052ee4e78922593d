#include "meta/op_timer.hpp"
#include "meta/ops/common.hpp"

namespace kiseki::meta {

using namespace op;

namespace {

/// A file made without a name (O_TMPFILE) gets its first one: as if it had been made there.
void name_nameless(Txn& txn, Ino ino, Ino parent, Timestamp now) {
  Attr to;
  to.ctime = now;
  to.parent = parent;
  txn.patch(ino, kCtime | kParent, to, 1);
  txn.write(EraseSustained{txn.client().session(), ino});
}

void add_link(Txn& txn, Ino ino, Ino parent, Timestamp now) {
  auto old_parent = txn.attr(ino)->parent;
  Attr to;
  to.ctime = now;
  to.parent = Ino{0};  // from now on its parents are those that hold its links
  txn.patch(ino, kCtime | kParent, to, 1);
  if (old_parent.value != 0) txn.write(AddParent{ino, old_parent, 1});
  txn.write(AddParent{ino, parent, 1});
}

Async<InodeEntry> link_in(Txn& txn, Who who, Ino ino, Ino parent, const std::string& name) {
  CO_CHECK(co_await txn.load(Keys{AttrKey{parent}, AttrKey{ino}}));
  CO_CHECK(co_await need_parent_for_making(txn, who, parent));
  auto* found = txn.attr(ino);
  if (!found) co_return posix(ENOENT);
  auto attr = *found;
  if (attr.is_dir()) co_return posix(EPERM);
  if (attr.flags & (kImmutable | kAppendOnly)) co_return posix(EPERM);
  auto removed = attr.nlink == 0 && !txn.client().is_open(ino);
  if (removed || attr.nlink >= kMaxLinks) {  // but a name that is taken is the first thing to say
    CO_CHECK(co_await txn.load(EntryKey{parent, name}));
    co_return posix(txn.entry(parent, name) ? EEXIST : removed ? ENOENT : EMLINK);
  }
  CO_CHECK(co_await need_no_entry(txn, parent, name));
  txn.check_attr(ino, kType | kFlags | kNlink | kParent | kLength);
  auto now = txn.client().clock().now();
  if (attr.nlink == 0)
    name_nameless(txn, ino, parent, now);
  else
    add_link(txn, ino, parent, now);
  txn.write(PutEntry{{parent, name}, {ino, attr.type}});
  touch_directory(txn, parent, now);
  CO_CHECK(co_await count_in_directory(txn, parent, weight_of(attr), true));
  co_return InodeEntry{ino, *txn.attr(ino)};
}

}  // namespace

Async<InodeEntry> link(Client& client, Who who, Ino ino, Ino parent, std::string name) {
  OpTimer timer(OpName::link);
  if (is_trash(parent)) co_return posix(EPERM);
  CO_CHECK(check_new_name(parent, name));
  co_return co_await transact<InodeEntry>(
      client, [&](Txn& txn) -> Async<InodeEntry> { co_return co_await link_in(txn, who, ino, parent, name); });
}

}  // namespace kiseki::meta
