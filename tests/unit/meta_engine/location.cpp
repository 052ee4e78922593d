#include "meta/sqlite/location.hpp"

#include <gtest/gtest.h>

namespace kiseki::meta::sqlite {
namespace {

TEST(SqliteLocation, PathAndDefaults) {
  // SEMANTICS: SQLite runs with synchronous=NORMAL
  auto location = Location::parse("sqlite3:///var/lib/a b.db");
  ASSERT_TRUE(location);
  EXPECT_EQ(location->path, "/var/lib/a b.db");
  EXPECT_EQ(location->prefix, "jfs_");
  EXPECT_EQ(location->journal, "WAL");
  EXPECT_EQ(location->synchronous, "NORMAL");
  EXPECT_EQ(location->patience, std::chrono::seconds(120));
  EXPECT_EQ(Location::parse("sqlite3://rel/x.db")->path, "rel/x.db");
}

TEST(SqliteLocation, KeysOfJuiceFs) {
  // SEMANTICS: (?_sync=FULL in the URL flushes each one)
  auto location = Location::parse(
      "sqlite3://x.db?table_prefix=v_1&_journal=delete&_sync=2&_timeout=250&cache=shared&_txlock=immediate");
  ASSERT_TRUE(location);
  EXPECT_EQ(location->prefix, "jfs_v_1_");
  EXPECT_EQ(location->journal, "DELETE");
  EXPECT_EQ(location->synchronous, "FULL");
  EXPECT_EQ(location->patience, std::chrono::milliseconds(250));
  EXPECT_EQ(Location::parse("sqlite3://x.db?_journal_mode=wal&_synchronous=extra&_busy_timeout=0")->synchronous,
            "EXTRA");
}

TEST(SqliteLocation, BadOnesAreNamed) {
  for (auto [query, part] : {std::pair("?colour=red", "\"colour\""),
                             {"?_sync=5", "_sync=5"},
                             {"?_journal=FAST", "_journal=FAST"},
                             {"?_timeout=1s", "_timeout=1s"},
                             {"?_timeout=-1", "_timeout=-1"},
                             {"?table_prefix=", "table_prefix="},
                             {"?table_prefix=a`b", "table_prefix=a`b"}}) {
    auto location = Location::parse(std::string("sqlite3://x.db") + query);
    ASSERT_FALSE(location) << query;
    EXPECT_NE(location.error().message.find(part), std::string::npos) << location.error().message;
  }
  EXPECT_FALSE(Location::parse("sqlite3://"));
  EXPECT_FALSE(Location::parse("sqlite3://?table_prefix=a"));
}

}  // namespace
}  // namespace kiseki::meta::sqlite
