#include "meta/trash_hour.hpp"

#include <ctime>

#include "meta/txn.hpp"

namespace kiseki::meta {

std::string TrashHour::name_of(std::int64_t seconds) {
  std::time_t at = seconds;
  std::tm utc{};
  ::gmtime_r(&at, &utc);
  char text[32];
  auto size = std::strftime(text, sizeof text, "%Y-%m-%d-%H", &utc);
  return {text, size};
}

std::optional<std::int64_t> TrashHour::hour_of(const std::string& name) {
  std::tm utc{};
  auto* end = ::strptime(name.c_str(), "%Y-%m-%d-%H", &utc);
  if (!end || *end != '\0' || name.size() != 13) return std::nullopt;
  return ::timegm(&utc);
}

namespace {

Async<Ino> make_hour(Client& client, std::string name) {
  co_return co_await transact<Ino>(client, [&](Txn& txn) -> Async<Ino> {
    CO_CHECK(co_await txn.load(EntryKey{kTrashIno, name}));
    if (auto* entry = txn.entry(kTrashIno, name)) co_return entry->ino;
    // A number is lost when we lose the race for the name; numbers are plenty.
    Commit number;
    number.writes.push_back(AddCounter{Counter::next_trash, 1});
    CO_TRY(auto outcome, co_await client.commit(std::move(number)));
    if (!outcome.applied || outcome.returned.size() != 1) co_return posix(EIO);
    Ino ino{kTrashIno.value + static_cast<std::uint64_t>(outcome.returned[0])};
    Attr attr;
    attr.type = FileType::directory;
    attr.mode = 0555;
    attr.nlink = 2;
    attr.length = 4096;
    attr.parent = kTrashIno;
    attr.atime = attr.mtime = attr.ctime = client.clock().now();
    txn.check_entry(kTrashIno, name);
    txn.write(PutAttr{ino, attr});
    txn.write(PutEntry{{kTrashIno, name}, {ino, FileType::directory}});
    txn.write(PutDirStat{ino, {}});
    // Not held to the volume's limits: a full volume must let people remove things.
    txn.write(AddCounter{Counter::used_space, 4096});
    txn.write(AddCounter{Counter::total_inodes, 1});
    co_return ino;
  });
}

}  // namespace

Async<Ino> TrashHour::directory(Client& client, bool again) {
  auto hour = client.clock().now().sec / 3600;
  if (!again) {
    std::lock_guard lock(mutex_);
    if (hour_ == hour) co_return ino_;
  }
  auto name = name_of(hour * 3600);
  if (again) client.cache().forget(EntryKey{kTrashIno, name});
  CO_TRY(auto ino, co_await make_hour(client, name));
  std::lock_guard lock(mutex_);
  hour_ = hour;
  ino_ = ino;
  co_return ino;
}

}  // namespace kiseki::meta
