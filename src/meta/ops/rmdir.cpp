#include "meta/op_timer.hpp"
#include "meta/ops/common.hpp"

namespace kiseki::meta {

using namespace op;

namespace {

Async<Taken> rmdir_in(Txn& txn, Who who, Ino parent, std::string name, Ino trash) {
  CO_CHECK(co_await txn.load(keys_for_taking(parent, name, trash)));
  CO_CHECK(co_await need_parent_for_removing(txn, who, parent));
  auto* entry = txn.entry(parent, name);
  if (!entry) co_return posix(ENOENT);
  txn.check_entry(parent, name);
  Ino ino = entry->ino;
  if (entry->type != FileType::directory) co_return posix(ENOTDIR);
  if (auto* attr = txn.attr(ino)) {
    if (!attr->is_dir()) co_return posix(ENOTDIR);
    CO_CHECK(check_sticky(who, *txn.attr(parent), *attr));
    if (attr->flags & (kImmutable | kAppendOnly)) co_return posix(EPERM);
  }
  auto now = txn.client().clock().now();
  CO_TRY(auto taken, co_await take_name(txn, parent, name, ino, trash, now));
  txn.write(EraseEntry{{parent, std::move(name)}});
  touch_directory(txn, parent, now, -1);
  co_return taken;
}

}  // namespace

Async<Removed> rmdir(Client& client, Who who, Ino parent, std::string name, bool skip_trash) {
  OpTimer timer(OpName::rmdir);
  CO_CHECK(check_old_name(name));
  if (name == ".") co_return posix(EINVAL);
  if (name == "..") co_return posix(ENOTEMPTY);
  if (parent == kRootIno && name == Client::kTrashName) co_return posix(EPERM);
  for (bool again = false;; again = true) {
    CO_TRY(auto trash, co_await trash_now(client, parent, skip_trash, again));
    auto taken = co_await transact<Taken>(
        client, [&](Txn& txn) -> Async<Taken> { co_return co_await rmdir_in(txn, who, parent, name, trash); });
    if (!taken && taken.error() == trash_vanished() && !again) continue;
    if (!taken) co_return taken.error();
    co_return taken->removed;
  }
}

}  // namespace kiseki::meta
