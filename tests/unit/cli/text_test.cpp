// Shapes of output, and small readers of the system's text.
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "cli/json_text.hpp"
#include "cli/locations.hpp"
#include "cli/text_table.hpp"
#include "fuse/mount_table.hpp"

namespace kiseki::cli {
namespace {

TEST(TextTable, HasJuiceFsShape) {
  EXPECT_EQ(text_table({{"chunkIndex", "objectName", "size"}, {"0", "v/chunks/0/0/1_0_5", "5"}}, {1}),
            "+------------+--------------------+------+\n"
            "| chunkIndex |     objectName     | size |\n"
            "+------------+--------------------+------+\n"
            "|          0 | v/chunks/0/0/1_0_5 |    5 |\n"
            "+------------+--------------------+------+\n");
  EXPECT_EQ(text_table({{"ab"}, {"12345"}}), "+-------+\n|   ab  |\n+-------+\n| 12345 |\n+-------+\n")
      << "the odd blank stands left";
}

TEST(SizeText, TellsTheExactBytesToo) {
  EXPECT_EQ(size_text(5), "5 Bytes");
  EXPECT_EQ(size_text(4096), "4.00 KiB (4096 Bytes)");
  EXPECT_EQ(size_text(3ull << 30), "3.00 GiB (3221225472 Bytes)");
}

TEST(PrettyJson, KeepsTheOrder) {
  EXPECT_EQ(pretty_json(boost::json::parse(R"({"b":1,"a":[true,{"c":"x\"y"}],"e":{},"f":[]})")),
            "{\n  \"b\": 1,\n  \"a\": [\n    true,\n    {\n      \"c\": \"x\\\"y\"\n    }\n  ],\n  \"e\": {},\n  "
            "\"f\": []\n}\n");
}

TEST(MountTable, ReadsMountinfo) {
  auto mount = fuse::parse_mountinfo_line(
      R"(36 35 0:57 / /mnt/with\040blank rw,noatime shared:1 - fuse.kiseki Kiseki:vol rw,user_id=0)");
  ASSERT_TRUE(mount);
  EXPECT_EQ(mount->path, "/mnt/with blank");
  EXPECT_EQ(mount->type, "fuse.kiseki");
  EXPECT_EQ(mount->source, "Kiseki:vol");
  EXPECT_EQ(mount->minor, 57u);
  EXPECT_TRUE(fuse::is_volume_mount(*mount));
  EXPECT_FALSE(fuse::parse_mountinfo_line("36 35 0:57 / /mnt rw"));
}

TEST(Locations, MetaUrlsBecomeAbsolute) {
  EXPECT_EQ(*absolute_meta_url("sqlite3:///a/../b.db?x=1"), "sqlite3:///b.db?x=1");
  EXPECT_EQ(*absolute_meta_url("sqlite3://v.db"), "sqlite3://" + absolute_path("v.db"));
  EXPECT_EQ(absolute_meta_url("v.db").error().sentence,
            "\"v.db\" is not a metadata URL; allowed: sqlite3://PATH, "
            "redis://HOST[:PORT]/DB");
  EXPECT_EQ(shown_meta_url("redis://:secret@host/1"), "redis://:****@host/1");
  EXPECT_EQ(shown_meta_url("sqlite3:///a@b:c.db"), "sqlite3:///a@b:c.db");
}

}  // namespace
}  // namespace kiseki::cli
