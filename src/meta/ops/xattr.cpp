#include <sys/xattr.h>

#include "meta/op_timer.hpp"
#include "meta/ops/common.hpp"

namespace kiseki::meta {

using namespace op;

namespace {

constexpr std::size_t kMaxXattrName = 255, kMaxXattrValue = 65536;
constexpr std::string_view kAccessName = "system.posix_acl_access", kDefaultName = "system.posix_acl_default";

Result<void> check_name(const std::string& name) {
  if (name.empty() || name.find('\0') != name.npos) return posix(EINVAL);
  return name.size() > kMaxXattrName ? Result<void>(posix(ERANGE)) : done();
}

/// The inode, and that its attributes may be changed; its ctime moves.
Async<void> change_inode(Txn& txn, Ino ino) {
  CO_CHECK(co_await txn.load(AttrKey{ino}));
  auto* attr = txn.attr(ino);
  if (!attr) co_return posix(ENOENT);
  if (attr->flags & (kImmutable | kAppendOnly)) co_return posix(EPERM);
  txn.check_attr(ino, kFlags);
  Attr to;
  to.ctime = txn.client().clock().now();
  txn.patch(ino, kCtime, to);
  co_return done();
}

Async<Xattrs> read_all(Client& client, Ino ino) {
  if (auto view = client.answering()) {
    if (auto all = client.cache().xattrs(ino, *view)) co_return *all;
  }
  Keys keys{XattrsKey{ino}, AttrKey{ino}};
  CO_TRY(auto records, co_await client.read(std::move(keys)));
  if (std::holds_alternative<std::monostate>(records[1])) {
    client.cache().forget(XattrsKey{ino});  // "none" is not what is known of a missing inode
    co_return posix(ENOENT);
  }
  auto* all = std::get_if<Xattrs>(&records[0]);
  co_return all ? std::move(*all) : Xattrs();
}

}  // namespace

Async<void> set_xattr(Client& client, Ino ino, std::string name, std::string value, std::uint32_t flags) {
  OpTimer timer(OpName::set_xattr);
  CO_CHECK(check_name(name));
  if (value.size() > kMaxXattrValue) co_return posix(E2BIG);
  if (flags & ~std::uint32_t{XATTR_CREATE | XATTR_REPLACE} || flags == (XATTR_CREATE | XATTR_REPLACE))
    co_return posix(EINVAL);
  co_return co_await transact<void>(client, [&](Txn& txn) -> Async<void> {
    XattrKey key{ino, name};
    CO_CHECK(co_await change_inode(txn, ino));
    if (flags != 0) {
      CO_CHECK(co_await txn.load(key));
      bool exists = txn.get<std::string>(key) != nullptr;
      txn.check(Key(key));
      if (exists && flags == XATTR_CREATE) co_return posix(EEXIST);
      if (!exists && flags == XATTR_REPLACE) co_return posix(ENODATA);
    }
    txn.write(PutXattr{key, value});
    co_return done();
  });
}

Async<std::string> get_xattr(Client& client, Ino ino, std::string name) {
  OpTimer timer(OpName::get_xattr);
  CO_CHECK(check_name(name));
  CO_TRY(auto all, co_await read_all(client, ino));
  auto it = all.find(name);
  if (it == all.end()) co_return posix(ENODATA);
  co_return std::move(it->second);
}

Async<std::vector<std::string>> list_xattrs(Client& client, Ino ino) {
  OpTimer timer(OpName::list_xattr);
  CO_TRY(auto attr, co_await getattr(client, ino));
  CO_TRY(auto all, co_await read_all(client, ino));
  std::vector<std::string> names;
  for (auto& [name, value] : all) names.push_back(name);
  if (client.format()->enable_acl) {
    if (attr.access_acl != 0) names.emplace_back(kAccessName);
    if (attr.default_acl != 0) names.emplace_back(kDefaultName);
  }
  co_return names;
}

Async<void> remove_xattr(Client& client, Ino ino, std::string name) {
  OpTimer timer(OpName::remove_xattr);
  CO_CHECK(check_name(name));
  co_return co_await transact<void>(client, [&](Txn& txn) -> Async<void> {
    XattrKey key{ino, name};
    CO_CHECK(co_await txn.load(Keys{AttrKey{ino}, key}));
    CO_CHECK(co_await change_inode(txn, ino));
    if (!txn.get<std::string>(key)) co_return posix(ENODATA);
    txn.check(Key(key));
    txn.write(EraseXattr{key});
    co_return done();
  });
}

}  // namespace kiseki::meta
