#include "meta/op_timer.hpp"
#include "meta/ops/common.hpp"

namespace kiseki::meta {

Async<std::string> readlink(Client& client, Ino ino) {
  OpTimer timer(OpName::readlink);
  if (auto view = client.answering()) {
    if (auto target = client.cache().symlink(ino, *view)) co_return *target;
  }
  Keys keys{SymlinkKey{ino}, AttrKey{ino}};
  CO_TRY(auto records, co_await client.read(std::move(keys)));
  auto* attr = std::get_if<Attr>(&records[1]);
  if (!attr) co_return posix(ENOENT);
  if (attr->type != FileType::symlink) co_return posix(EINVAL);
  auto* target = std::get_if<std::string>(&records[0]);
  if (!target) co_return posix(EIO);
  co_return *target;
}

}  // namespace kiseki::meta
