#include "meta/op_timer.hpp"
#include "meta/ops/common.hpp"

namespace kiseki::meta {

using namespace op;

Async<EntryPage> list(Client& client, Ino dir, std::string cursor, std::size_t limit, bool with_attrs) {
  OpTimer timer(OpName::readdir);
  if (cursor.empty()) {
    CO_TRY(auto attr, co_await getattr(client, dir));
    if (!attr.is_dir()) co_return posix(ENOTDIR);
  }
  auto ticket = client.cache().ticket();
  CO_TRY(auto page, co_await client.engine().scan_entries(dir, std::move(cursor), limit, with_attrs));
  // Without its attributes an entry does not answer a lookup: not worth a place in the cache.
  for (auto& listed : page.entries) {
    if (!listed.attr) continue;
    client.cache().install_entry(ticket, dir, listed.name, listed.entry);
    client.install_child(ticket, listed.entry.ino, *listed.attr);
  }
  co_return page;
}

}  // namespace kiseki::meta
