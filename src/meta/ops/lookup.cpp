#include "meta/op_timer.hpp"
#include "meta/ops/common.hpp"

namespace kiseki::meta {

using namespace op;

namespace {

/// What the cache may say for certain, else what the engine holds.
Async<std::optional<Attr>> read_attr(Client& client, Ino ino) {
  if (auto attr = client.cached_attr(ino)) co_return attr;
  Keys keys{AttrKey{ino}};
  CO_TRY(auto records, co_await client.read(std::move(keys)));
  auto* attr = std::get_if<Attr>(&records[0]);
  co_return attr ? std::optional(*attr) : std::nullopt;
}

/// The trash exists as a directory even before anyone made its inode; so does the root.
Attr synthetic(Ino ino) {
  Attr attr;
  attr.type = FileType::directory;
  attr.mode = ino == kTrashIno ? 0555 : 0777;
  attr.nlink = 2;
  attr.length = 4096;
  attr.parent = kRootIno;
  return attr;
}

Async<InodeEntry> fetch_entry(Client& client, Ino parent, std::string name) {
  Keys keys{EntryKey{parent, name}, ChildKey{parent, name}};
  CO_TRY(auto records, co_await client.read(std::move(keys)));
  auto* entry = std::get_if<Entry>(&records[0]);
  auto* attr = std::get_if<Attr>(&records[1]);
  if (!entry || !attr) co_return posix(ENOENT);  // of a dangling entry there is nothing to show
  co_return InodeEntry{entry->ino, *attr};
}

}  // namespace

Async<InodeEntry> lookup(Client& client, Ino parent, std::string name) {
  OpTimer timer(OpName::lookup);
  CO_CHECK(check_old_name(name));
  if (parent == kRootIno && name == Client::kTrashName) {
    CO_TRY(auto attr, co_await getattr(client, kTrashIno));
    co_return InodeEntry{kTrashIno, attr};
  }
  if (name == "." || name == "..") {
    CO_TRY(auto here, co_await getattr(client, parent));
    if (name == "." || parent == kRootIno) co_return InodeEntry{parent, here};
    CO_TRY(auto above, co_await getattr(client, here.parent));
    co_return InodeEntry{here.parent, above};
  }
  if (auto hit = client.cached_lookup(parent, name)) co_return *hit;
  auto entry = client.cached_entry(parent, name);
  if (entry && *entry) {  // only the attributes are missing
    auto ino = (*entry)->ino;
    CO_TRY(auto attr, co_await read_attr(client, ino));
    if (attr) co_return InodeEntry{ino, *attr};
  }  // gone: another client gave the name to another inode, or removed it
  co_return co_await fetch_entry(client, parent, std::move(name));
}

Async<Attr> getattr(Client& client, Ino ino) {
  OpTimer timer(OpName::getattr);
  CO_TRY(auto attr, co_await read_attr(client, ino));
  if (attr) co_return *attr;
  if (ino == kRootIno || ino == kTrashIno) co_return synthetic(ino);
  co_return posix(ENOENT);
}

}  // namespace kiseki::meta
