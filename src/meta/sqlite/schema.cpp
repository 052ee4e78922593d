#include "meta/sqlite/schema.hpp"

#include <algorithm>
#include <string>

namespace kiseki::meta::sqlite {
namespace {

struct Table {
  const char* name;     ///< after the prefix
  const char* columns;  ///< exactly JuiceFS's text: its ORM parses sqlite_master
};

// clang-format off
constexpr Table kTables[] = {
    {"setting", "`name` TEXT PRIMARY KEY NOT NULL, `value` TEXT NOT NULL"},
    {"counter", "`name` TEXT PRIMARY KEY NOT NULL, `value` INTEGER NOT NULL"},
    {"edge", "`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `parent` INTEGER NOT NULL, `name` BLOB NOT NULL, `inode` INTEGER NOT NULL, `type` INTEGER NOT NULL"},
    {"node", "`inode` INTEGER PRIMARY KEY NOT NULL, `type` INTEGER NOT NULL, `flags` INTEGER NOT NULL, `mode` INTEGER NOT NULL, `uid` INTEGER NOT NULL, `gid` INTEGER NOT NULL, `atime` INTEGER NOT NULL, `mtime` INTEGER NOT NULL, `ctime` INTEGER NOT NULL, `atimensec` INTEGER DEFAULT 0 NOT NULL, `mtimensec` INTEGER DEFAULT 0 NOT NULL, `ctimensec` INTEGER DEFAULT 0 NOT NULL, `nlink` INTEGER NOT NULL, `length` INTEGER NOT NULL, `rdev` INTEGER NULL, `parent` INTEGER NULL, `access_acl_id` INTEGER NULL, `default_acl_id` INTEGER NULL, `tier_id` INTEGER NULL"},
    {"symlink", "`inode` INTEGER PRIMARY KEY NOT NULL, `target` BLOB NOT NULL"},
    {"xattr", "`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `inode` INTEGER NOT NULL, `name` TEXT NOT NULL, `value` BLOB NOT NULL"},
    {"chunk", "`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `inode` INTEGER NOT NULL, `indx` INTEGER NOT NULL, `slices` BLOB NOT NULL"},
    {"chunk_ref", "`chunkid` INTEGER PRIMARY KEY NOT NULL, `size` INTEGER NOT NULL, `refs` INTEGER NOT NULL"},
    {"delslices", "`chunkid` INTEGER PRIMARY KEY NOT NULL, `deleted` INTEGER NOT NULL, `slices` BLOB NOT NULL"},
    {"session2", "`sid` INTEGER PRIMARY KEY NOT NULL, `expire` INTEGER NOT NULL, `info` BLOB NULL"},
    {"sustained", "`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `sid` INTEGER NOT NULL, `inode` INTEGER NOT NULL"},
    {"delfile", "`inode` INTEGER PRIMARY KEY NOT NULL, `length` INTEGER NOT NULL, `expire` INTEGER NOT NULL"},
    {"flock", "`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `inode` INTEGER NOT NULL, `sid` INTEGER NOT NULL, `owner` INTEGER NOT NULL, `ltype` INTEGER NOT NULL"},
    {"plock", "`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `inode` INTEGER NOT NULL, `sid` INTEGER NOT NULL, `owner` INTEGER NOT NULL, `records` BLOB NOT NULL"},
    {"dir_quota", "`inode` INTEGER PRIMARY KEY NOT NULL, `max_space` INTEGER NOT NULL, `max_inodes` INTEGER NOT NULL, `used_space` INTEGER NOT NULL, `used_inodes` INTEGER NOT NULL"},
    {"user_group_quota", "`qtype` INTEGER NOT NULL, `qkey` INTEGER NOT NULL, `max_space` INTEGER NOT NULL, `max_inodes` INTEGER NOT NULL, `used_space` INTEGER NOT NULL, `used_inodes` INTEGER NOT NULL, PRIMARY KEY ( `qtype`,`qkey` )"},
    {"dir_stats", "`inode` INTEGER PRIMARY KEY NOT NULL, `data_length` INTEGER NOT NULL, `used_space` INTEGER NOT NULL, `used_inodes` INTEGER NOT NULL"},
    {"detached_node", "`inode` INTEGER PRIMARY KEY NOT NULL, `added` INTEGER NOT NULL"},
    {"acl", "`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `owner` INTEGER NULL, `group` INTEGER NULL, `mask` INTEGER NULL, `other` INTEGER NULL, `named_users` BLOB NULL, `named_groups` BLOB NULL"},
    {"delegation_token", "`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `token` BLOB NULL"},
    {"change_log", "`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `entry` TEXT NOT NULL"},
};
// clang-format on

constexpr const char* kIndexes[] = {
    "CREATE UNIQUE INDEX IF NOT EXISTS `UQE_{P}edge_edge` ON `{P}edge` (`parent`,`name`)",
    "CREATE INDEX IF NOT EXISTS `IDX_{P}edge_inode` ON `{P}edge` (`inode`)",
    "CREATE UNIQUE INDEX IF NOT EXISTS `UQE_{P}xattr_name` ON `{P}xattr` (`inode`,`name`)",
    "CREATE UNIQUE INDEX IF NOT EXISTS `UQE_{P}chunk_chunk` ON `{P}chunk` (`inode`,`indx`)",
    "CREATE INDEX IF NOT EXISTS `IDX_{P}chunk_ref_refs` ON `{P}chunk_ref` (`refs`)",
    "CREATE UNIQUE INDEX IF NOT EXISTS `UQE_{P}sustained_sustained` ON `{P}sustained` (`sid`,`inode`)",
    "CREATE UNIQUE INDEX IF NOT EXISTS `UQE_{P}flock_flock` ON `{P}flock` (`inode`,`sid`,`owner`)",
    "CREATE UNIQUE INDEX IF NOT EXISTS `UQE_{P}plock_plock` ON `{P}plock` (`inode`,`sid`,`owner`)",
};

/// The items of a table's column list that define columns.
std::vector<std::string> column_items(std::string_view columns) {
  std::vector<std::string> items;
  for (std::size_t at = 0; at < columns.size() && columns[at] == '`';) {
    auto end = columns.find(", ", at);
    items.emplace_back(columns.substr(at, end - at));
    at = end == std::string_view::npos ? columns.size() : end + 2;
  }
  return items;
}

/// ALTER TABLE cannot add a NOT NULL column without a default: rows that exist get zero values.
std::string addable(std::string item) {
  if (item.ends_with("NOT NULL") && item.find("DEFAULT") == std::string::npos)
    item.insert(item.size() - std::string_view("NOT NULL").size(),
                item.find(" INTEGER ") != std::string::npos ? "DEFAULT 0 " : "DEFAULT '' ");
  return item;
}

void add_missing_columns(Connection& db, const Table& table) {
  auto present = db.ask_all(std::string("SELECT name FROM pragma_table_info('{P}") + table.name + "')");
  for (auto& item : column_items(table.columns)) {
    auto name = item.substr(1, item.find('`', 1) - 1);
    if (std::ranges::find(present, name) != present.end()) continue;
    db.exec(std::string("ALTER TABLE `{P}") + table.name + "` ADD " + addable(item));
  }
}

bool is_complete(Connection& db) {
  for (auto& table : kTables) {
    auto present = db.ask_all(std::string("SELECT name FROM pragma_table_info('{P}") + table.name + "')");
    for (auto& item : column_items(table.columns))
      if (std::ranges::find(present, item.substr(1, item.find('`', 1) - 1)) == present.end()) return false;
  }
  auto indexes =
      db.ask("SELECT count(*) FROM sqlite_master WHERE type='index' AND sql IS NOT NULL AND tbl_name LIKE '{P}%'");
  return std::stoul(indexes) >= std::size(kIndexes);
}

}  // namespace

void make_schema(Connection& db) {
  if (is_complete(db)) return;  // the usual mount: no write lock
  db.exec("BEGIN IMMEDIATE");
  try {
    std::size_t index = 0;
    for (auto& table : kTables) {
      db.exec(std::string("CREATE TABLE IF NOT EXISTS `{P}") + table.name + "` (" + table.columns + ")");
      add_missing_columns(db, table);
      // Each index behind its table, so that sqlite_master reads as JuiceFS writes it.
      for (; index < std::size(kIndexes); ++index) {
        auto on = std::string(" ON `{P}") + table.name + "` (";
        if (std::string_view(kIndexes[index]).find(on) == std::string_view::npos) break;
        db.exec(kIndexes[index]);
      }
    }
    db.exec("COMMIT");
  } catch (const SqlError&) {
    db.rollback();
    throw;
  }
}

bool has_volume(Connection& db) {
  if (db.ask("SELECT count(*) FROM sqlite_master WHERE type='table' AND name='{P}setting'") == "0") return false;
  return db.ask("SELECT count(*) FROM {P}setting WHERE name='format'") != "0";
}

}  // namespace kiseki::meta::sqlite
