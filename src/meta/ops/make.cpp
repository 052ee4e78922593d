#include "meta/acl_book.hpp"
#include "meta/op_timer.hpp"
#include "meta/ops/acl_rules.hpp"
#include "meta/ops/common.hpp"

namespace kiseki::meta {

using namespace op;

namespace {

Result<void> check_kind(const NewInode& what) {
  if (what.type < FileType::file || what.type > FileType::socket) return posix(EINVAL);
  if (what.type != FileType::symlink) return done();
  if (what.target.empty()) return posix(ENOENT);
  if (what.target.size() > kMaxTarget) return posix(ENAMETOOLONG);
  if (what.target.find('\0') != what.target.npos) return posix(EINVAL);
  return done();
}

/// Mode and ACLs of a child: the parent's default ACL takes the place of the umask.
Async<void> inherit_acl(Client& client, Attr& attr, const Attr& parent, const NewInode& what) {
  auto mode = static_cast<std::uint16_t>(what.mode & 07777);
  attr.mode = mode & static_cast<std::uint16_t>(~what.umask);
  if (parent.default_acl == 0 || what.type == FileType::symlink || !client.format()->enable_acl) co_return done();
  if (what.type == FileType::directory) attr.default_acl = parent.default_acl;
  CO_TRY(auto rule, co_await client.acls().rule(client, parent.default_acl));
  if (is_minimal(rule)) {
    attr.mode = mode & (static_cast<std::uint16_t>(~0777) | mode_bits(rule));
    co_return done();
  }
  auto own = child_rule(rule, mode);
  attr.mode = static_cast<std::uint16_t>((mode & 07000) | mode_bits(own));
  CO_TRY(attr.access_acl, co_await client.acls().id_of(client, std::move(own)));
  co_return done();
}

Async<Attr> new_attr(Client& client, Who who, Ino parent, Attr above, const NewInode& what) {
  Attr attr;
  attr.type = what.type;
  inherit_owner(attr, who, above);
  attr.atime = attr.mtime = attr.ctime = client.clock().now();
  attr.parent = parent;
  CO_CHECK(co_await inherit_acl(client, attr, above, what));
  bool is_dir = what.type == FileType::directory;
  if (is_dir && (above.mode & kSetGid)) attr.mode |= kSetGid;
  if (!is_dir && (attr.mode & kSetGid) && (attr.mode & 010) && who.check_permissions && who.uid != 0 &&
      who.gid != attr.gid)
    attr.mode &= static_cast<std::uint16_t>(~kSetGid);
  attr.nlink = is_dir ? 2 : 1;
  attr.length = is_dir ? 4096 : what.type == FileType::symlink ? what.target.size() : 0;
  if (what.type == FileType::block_device || what.type == FileType::char_device) attr.rdev = what.rdev;
  co_return attr;
}

Async<InodeEntry> make_in(Txn& txn, Who who, Ino parent, const std::string& name, const NewInode& what, Ino ino) {
  CO_CHECK(co_await txn.load(AttrKey{parent}));
  CO_CHECK(co_await need_parent_for_making(txn, who, parent));
  CO_CHECK(co_await need_no_entry(txn, parent, name));
  auto above = *txn.attr(parent);
  bool is_dir = what.type == FileType::directory;
  if (is_dir && above.nlink >= kMaxLinks) co_return posix(EMLINK);
  CO_TRY(auto attr, co_await new_attr(txn.client(), who, parent, above, what));

  txn.write(PutAttr{ino, attr});
  txn.write(PutEntry{{parent, name}, {ino, what.type}});
  if (what.type == FileType::symlink) txn.write(PutSymlink{ino, what.target});
  if (is_dir) txn.write(PutDirStat{ino, {}});
  touch_directory(txn, parent, attr.mtime, is_dir ? 1 : 0);
  CO_CHECK(co_await count_in_directory(txn, parent, weight_of(attr), true));
  count_in_volume(txn, 4096, 1);
  CO_CHECK(count_for_owner(txn, attr.uid, attr.gid, 4096, 1));
  co_return InodeEntry{ino, attr};
}

Async<InodeEntry> make_nameless_in(Txn& txn, Who who, Ino parent, const NewInode& what, Ino ino) {
  CO_CHECK(co_await txn.load(AttrKey{parent}));
  CO_CHECK(co_await need_parent_for_making(txn, who, parent));
  auto above = *txn.attr(parent);
  CO_TRY(auto attr, co_await new_attr(txn.client(), who, parent, above, what));
  attr.nlink = 0;
  txn.write(PutAttr{ino, attr});
  txn.write(PutSustained{txn.client().session(), ino});
  count_in_volume(txn, 4096, 1);
  CO_CHECK(count_for_owner(txn, attr.uid, attr.gid, 4096, 1));
  co_return InodeEntry{ino, attr};
}

}  // namespace

Async<InodeEntry> make(Client& client, Who who, Ino parent, std::string name, NewInode what) {
  OpTimer timer(OpName::mknod);
  if (is_trash(parent)) co_return posix(EPERM);
  CO_CHECK(check_new_name(parent, name));
  CO_CHECK(check_kind(what));
  CO_TRY(auto ino, co_await client.new_inode());
  co_return co_await transact<InodeEntry>(
      client, [&](Txn& txn) -> Async<InodeEntry> { co_return co_await make_in(txn, who, parent, name, what, ino); });
}

Async<InodeEntry> make_nameless(Client& client, Who who, Ino parent, NewInode what) {
  OpTimer timer(OpName::mknod);
  if (is_trash(parent)) co_return posix(EPERM);
  if (what.type != FileType::file) co_return posix(EINVAL);
  if (client.session().value == 0) co_return posix(EOPNOTSUPP);  // nobody would clean up after us
  CO_TRY(auto ino, co_await client.new_inode());
  co_return co_await transact<InodeEntry>(
      client, [&](Txn& txn) -> Async<InodeEntry> { co_return co_await make_nameless_in(txn, who, parent, what, ino); });
}

}  // namespace kiseki::meta
