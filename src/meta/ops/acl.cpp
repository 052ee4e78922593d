#include "meta/acl_book.hpp"
#include "meta/op_timer.hpp"
#include "meta/ops/acl_rules.hpp"
#include "meta/ops/common.hpp"

namespace kiseki::meta {

using namespace op;

Async<std::string> get_acl(Client& client, Ino ino, bool default_acl) {
  OpTimer timer(OpName::get_acl);
  if (!client.format()->enable_acl) co_return posix(EOPNOTSUPP);
  CO_TRY(auto attr, co_await getattr(client, ino));
  auto id = default_acl ? attr.default_acl : attr.access_acl;
  if (id == 0) co_return posix(ENODATA);
  CO_TRY(auto rule, co_await client.acls().rule(client, id));
  co_return emit_acl(rule);
}

namespace {

/// What the rule makes of the attribute: fields changed are returned.
Async<std::uint32_t> apply_rule(Client& client, bool default_acl, AclRule rule, const Attr& attr, Attr& to) {
  to.mode = attr.mode;
  to.access_acl = to.default_acl = 0;
  auto which = default_acl ? kDefaultAcl : kAccessAcl;
  if (is_empty(rule)) {
    // Without its ACL the group class is the owning group's again, as the kernel would leave it: mode stays.
    co_return which;
  }
  fill_from_mode(rule, attr.mode);
  if (!default_acl) to.mode = static_cast<std::uint16_t>((attr.mode & 07000) | mode_bits(rule));
  if (!default_acl && is_minimal(rule)) co_return kAccessAcl | kMode;
  CO_TRY(auto id, co_await client.acls().id_of(client, std::move(rule)));
  (default_acl ? to.default_acl : to.access_acl) = id;
  co_return default_acl ? std::uint32_t{kDefaultAcl} : std::uint32_t{kAccessAcl | kMode};
}

Async<Attr> set_acl_in(Txn& txn, Who who, Ino ino, bool default_acl, AclRule rule) {
  CO_CHECK(co_await txn.load(AttrKey{ino}));
  auto* found = txn.attr(ino);
  if (!found) co_return posix(ENOENT);
  auto attr = *found;
  if (attr.type == FileType::symlink) co_return posix(EOPNOTSUPP);
  if (who.check_permissions && who.uid != 0 && who.uid != attr.uid) co_return posix(EPERM);
  if (attr.flags & (kImmutable | kAppendOnly)) co_return posix(EPERM);
  if (default_acl && !attr.is_dir()) {
    if (is_empty(rule)) co_return attr;
    co_return posix(EACCES);
  }
  txn.check_attr(ino, kType | kFlags | kMode | kUid | kAccessAcl | kDefaultAcl);
  Attr to;
  CO_TRY(auto set, co_await apply_rule(txn.client(), default_acl, std::move(rule), attr, to));
  if (!default_acl && who.check_permissions && who.uid != 0 && who.gid != attr.gid && (attr.mode & kSetGid)) {
    to.mode &= static_cast<std::uint16_t>(~kSetGid);
    set |= kMode;
  }
  to.ctime = txn.client().clock().now();
  txn.patch(ino, set | kCtime, to);
  co_return *txn.attr(ino);
}

}  // namespace

Async<Attr> set_acl(Client& client, Who who, Ino ino, bool default_acl, std::string blob) {
  OpTimer timer(OpName::set_acl);
  if (!client.format()->enable_acl) co_return posix(EOPNOTSUPP);
  if (is_trash(ino)) co_return posix(EPERM);
  CO_TRY(auto rule, parse_acl(blob));
  co_return co_await transact<Attr>(
      client, [&](Txn& txn) -> Async<Attr> { co_return co_await set_acl_in(txn, who, ino, default_acl, rule); });
}

}  // namespace kiseki::meta
