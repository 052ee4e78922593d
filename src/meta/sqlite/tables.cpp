#include "meta/sqlite/tables.hpp"

#include "meta/attr_fields.hpp"
#include "meta/patch.hpp"
#include "meta/sqlite/row.hpp"

namespace kiseki::meta::sqlite {
namespace {

Attr attr_of(const Run& row) {
  auto time = [&](int micros) { return codec::join({row.integer_at(micros), row.integer_at(micros + 3)}); };
  Attr attr;
  attr.type = type_at(row, 0);
  attr.flags = static_cast<std::uint8_t>(row.integer_at(1));
  attr.mode = static_cast<std::uint16_t>(row.integer_at(2) & 07777);
  attr.uid = row.u32_at(3);
  attr.gid = row.u32_at(4);
  attr.atime = time(5);
  attr.mtime = time(6);
  attr.ctime = time(7);
  attr.nlink = row.u32_at(11);
  attr.length = row.id_at(12);
  attr.rdev = row.u32_at(13);  // this and the next were NULL in old rows, which reads as 0
  attr.parent = ino_at(row, 14);
  attr.access_acl = row.u32_at(15);
  attr.default_acl = row.u32_at(16);
  attr.tier = static_cast<std::uint8_t>(row.integer_at(17));
  return attr;
}

/// `read()` of the only row, or absent.
template <class F>
Record row_or_none(Run& run, F read) {
  return run.step() ? Record(read()) : Record();
}

template <class T>
Record or_none(std::optional<T> value) {
  return value ? Record(std::move(*value)) : Record();
}

std::string text_at(const Run& row, int column) { return std::string(row.bytes_at(column)); }

}  // namespace

std::string_view counter_name(Counter which) {
  switch (which) {
    case Counter::next_inode:
      return "nextInode";
    case Counter::next_slice:
      return "nextChunk";
    case Counter::next_session:
      return "nextSession";
    case Counter::used_space:
      return "usedSpace";
    case Counter::total_inodes:
      return "totalInodes";
    case Counter::next_trash:
      return "nextTrash";
    case Counter::last_cleanup_sessions:
      return "lastCleanupSessions";
    case Counter::last_cleanup_files:
      return "lastCleanupFiles";
    case Counter::last_cleanup_trash:
      return "lastCleanupTrash";
    case Counter::last_cleanup_slices:
      return "nextCleanupSlices";  // the time of the last run, despite its name
  }
  throw SqlError{SQLITE_MISUSE, "no such counter"};
}

std::optional<Attr> read_attr(Connection& db, Ino ino) {
  auto run = db.run(Sql::get_attr);
  if (!run.id(ino.value).step()) return std::nullopt;
  return attr_of(run);
}

bool has_attr(Connection& db, Ino ino) {
  auto run = db.run(Sql::has_attr);
  return run.id(ino.value).step();
}

std::optional<Entry> read_entry(Connection& db, const EntryKey& key) {
  auto run = db.run(Sql::get_entry);
  if (!run.id(key.parent.value).blob(key.name).step()) return std::nullopt;
  return Entry{ino_at(run, 0), type_at(run, 1)};
}

Slices read_chunk(Connection& db, ChunkKey key) {
  auto run = db.run(Sql::get_chunk);
  if (!run.id(key.ino.value).integer(key.index.value).step()) return {};
  return slices_at(run, 0);
}

std::optional<std::int64_t> read_counter(Connection& db, Counter which) {
  auto run = db.run(Sql::get_counter);
  if (!run.text(counter_name(which)).step()) return std::nullopt;
  return run.integer_at(0);
}

std::optional<DirStat> read_dir_stat(Connection& db, Ino ino) {
  auto run = db.run(Sql::get_dir_stat);
  if (!run.id(ino.value).step()) return std::nullopt;
  return DirStat{run.integer_at(0), run.integer_at(1), run.integer_at(2)};
}

DirStat count_children(Connection& db, Ino dir) {
  auto run = db.run(Sql::count_children);
  run.id(dir.value).step();
  return {run.integer_at(0), run.integer_at(1), run.integer_at(2)};
}

namespace {

/// One function per kind of key.
struct Reader {
  Connection& db;

  Record operator()(const AttrKey& k) { return or_none(read_attr(db, k.ino)); }
  Record operator()(const EntryKey& k) { return or_none(read_entry(db, k)); }
  Record operator()(const ChildKey& k) {
    auto entry = read_entry(db, {k.parent, k.name});
    return entry ? or_none(read_attr(db, entry->ino)) : Record();
  }
  Record operator()(const ChunkKey& k) { return read_chunk(db, k); }
  Record operator()(const CounterKey& k) { return or_none(read_counter(db, k.which)); }
  Record operator()(const DirStatKey& k) { return or_none(read_dir_stat(db, k.ino)); }
  Record operator()(const SymlinkKey& k) {
    auto run = db.run(Sql::get_symlink);
    return row_or_none(run.id(k.ino.value), [&] { return text_at(run, 0); });
  }
  Record operator()(const XattrKey& k) {
    auto run = db.run(Sql::get_xattr);
    return row_or_none(run.id(k.ino.value).text(k.name), [&] { return text_at(run, 0); });
  }
  Record operator()(const XattrsKey& k) {
    Xattrs all;
    auto run = db.run(Sql::get_xattrs);
    for (run.id(k.ino.value); run.step();) all.emplace(text_at(run, 0), text_at(run, 1));
    return all;
  }
  Record operator()(const ParentsKey& k) {
    Parents all;
    auto run = db.run(Sql::get_parents);
    for (run.id(k.ino.value); run.step();) all.emplace(ino_at(run, 0), run.u32_at(1));
    return all;
  }
  Record operator()(const SliceRefKey& k) {
    auto run = db.run(Sql::get_slice_ref);
    return row_or_none(run.id(k.id.value), [&] { return SliceRef{run.u32_at(0), run.integer_at(1)}; });
  }
  Record operator()(const QuotaKey& k) {
    if (k.kind == QuotaKind::directory) {
      auto run = db.run(Sql::get_dir_quota);
      return row_or_none(run.id(k.id), [&] { return quota_at(run, 0); });
    }
    auto run = db.run(Sql::get_id_quota);
    return row_or_none(run.integer(static_cast<int>(k.kind)).id(k.id), [&] { return quota_at(run, 0); });
  }
  Record operator()(const FileLocksKey& k) {
    FileLocks all;
    auto run = db.run(Sql::get_flocks);
    for (run.id(k.ino.value); run.step();) all.push_back({sid_at(run, 0), run.id_at(1), exclusive_at(run, 2)});
    return all;
  }
  Record operator()(const RangeLocksKey& k) {
    RangeLockTable all;
    auto run = db.run(Sql::get_plocks);
    for (run.id(k.ino.value); run.step();) all.push_back({sid_at(run, 0), run.id_at(1), ranges_at(run, 2)});
    return all;
  }
  Record operator()(const AclKey& k) {
    auto run = db.run(Sql::get_acl);
    return row_or_none(run.integer(k.id), [&] { return acl_at(run, 0); });
  }
  Record operator()(const SettingKey&) {
    auto run = db.run(Sql::get_setting);
    return row_or_none(run, [&] { return text_at(run, 0); });
  }
  Record operator()(const SessionKey& k) {
    auto run = db.run(Sql::get_session);
    return row_or_none(run.id(k.sid.value), [&] { return Session{run.integer_at(0), text_at(run, 1)}; });
  }
};

/// One function per kind of check.
struct Checker {
  Connection& db;

  bool operator()(const Unchanged& c) {
    if (auto* key = std::get_if<EntryKey>(&c.key)) {  // what nearly every change of a name asks
      auto now = read_entry(db, *key);
      auto* seen = std::get_if<Entry>(&c.seen);
      return seen ? now == *seen : !now && std::holds_alternative<std::monostate>(c.seen);
    }
    return same_record(read(db, c.key), c.seen);
  }
  bool operator()(const AttrUnchanged& c) {
    auto now = read_attr(db, c.ino);
    return now && same_fields(*now, c.seen, c.fields);
  }
  bool operator()(const AttrAbsent& c) { return !has_attr(db, c.ino); }
  bool operator()(const DirEmpty& c) {
    auto run = db.run(Sql::has_entries);
    return !run.id(c.ino.value).step();
  }
  bool operator()(const SlicesBeginWith& c) {
    auto run = db.run(Sql::get_chunk);
    if (!run.id(c.chunk.ino.value).integer(c.chunk.index.value).step()) return c.prefix.empty();
    return run.bytes_at(0).starts_with(codec::encode(c.prefix));
  }
  bool operator()(const CounterWithin& c) {
    return within(read_counter(db, c.which).value_or(first_value(c.which)), c.delta, c.limit);
  }
};

}  // namespace

Record read(Connection& db, const Key& key) { return std::visit(Reader{db}, key); }
bool holds(Connection& db, const Check& check) { return std::visit(Checker{db}, check); }

void bind_attr(Run& run, const Attr& attr) {
  auto atime = codec::split(attr.atime), mtime = codec::split(attr.mtime), ctime = codec::split(attr.ctime);
  run.integer(static_cast<int>(attr.type)).integer(attr.flags).integer(attr.mode).integer(attr.uid).integer(attr.gid);
  run.integer(atime.micros).integer(mtime.micros).integer(ctime.micros);
  run.integer(atime.nanos).integer(mtime.nanos).integer(ctime.nanos);
  run.integer(attr.nlink).id(attr.length).integer(attr.rdev).id(attr.parent.value);
  run.integer(attr.access_acl).integer(attr.default_acl).integer(attr.tier);
}

}  // namespace kiseki::meta::sqlite
