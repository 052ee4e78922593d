// The tables are JuiceFS's to the letter, and what is missing is added.
#include "sqlite_file.hpp"

namespace kiseki::meta {
namespace {

constexpr auto kMaster = "SELECT type,name,tbl_name,sql FROM sqlite_master ORDER BY name";

TEST(SqliteSchema, IsExactlyJuiceFs) {
  auto shared = test::shared_folder();
  if (!shared) GTEST_SKIP() << "SKIPPED: no shared fixtures";
  SqliteFile file;
  file.format();
  std::filesystem::copy_file(*shared / "fixtures/sqlite-plain/meta.db", file.path("theirs.db"));
  std::filesystem::permissions(file.path("theirs.db"), std::filesystem::perms::owner_all);
  OtherProgram ours(file.path()), theirs(file.path("theirs.db"));
  EXPECT_EQ(ours.rows(kMaster), theirs.rows(kMaster));
}

TEST(SqliteSchema, PrefixNamesTablesAndIndexes) {
  SqliteFile file;
  file.format("?table_prefix=vol2");
  OtherProgram other(file.path());
  EXPECT_EQ(other.rows("SELECT name FROM sqlite_master WHERE tbl_name LIKE 'jfs_vol2_edge' ORDER BY name"),
            (std::vector<std::string>{"IDX_jfs_vol2_edge_inode", "UQE_jfs_vol2_edge_edge", "jfs_vol2_edge"}));
  file.format();  // a second volume beside it
  EXPECT_EQ(other.rows("SELECT count(*) FROM sqlite_master WHERE type='table' AND name LIKE 'jfs_%'"),
            std::vector<std::string>{"42"});
}

TEST(SqliteSchema, MissingTablesColumnsAndIndexesAreAdded) {
  SqliteFile file;
  file.format();
  OtherProgram other(file.path());
  auto complete = other.rows(kMaster);
  other.run(
      "DROP TABLE jfs_dir_quota; DROP INDEX IDX_jfs_edge_inode; ALTER TABLE jfs_node DROP COLUMN tier_id;"
      "ALTER TABLE jfs_node ADD COLUMN later INTEGER; CREATE TABLE jfs_unknown(x);"
      "INSERT INTO jfs_node VALUES(1,2,0,511,0,0,1,1,1,0,0,0,2,4096,NULL,1,NULL,NULL,77)");
  auto engine = file.open(OpenMode::existing);
  test::run([&]() -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await engine->prepare());
    auto root = co_await read(*engine, AttrKey{Ino{1}});
    CO_ASSERT_TRUE(std::holds_alternative<Attr>(root));
    EXPECT_EQ(std::get<Attr>(root).tier, 0) << "NULL reads as 0";
    EXPECT_EQ(std::get<Attr>(root).mode, 0777);
    co_await write(*engine, {PutAttr{Ino{1}, std::get<Attr>(root)}, PutQuota{{QuotaKind::directory, 1}, {}}});
    co_await engine->close();
  });
  EXPECT_EQ(
      other.rows(
          "SELECT count(*) FROM sqlite_master WHERE name IN ('jfs_dir_quota','IDX_jfs_edge_inode','jfs_unknown')"),
      std::vector<std::string>{"3"});
  EXPECT_EQ(other.rows("SELECT rdev,tier_id,later FROM jfs_node"), std::vector<std::string>{"0|0|77"})
      << "other columns stay";
}

TEST(SqliteSchema, BytesAreStoredAsBlobs) {
  SqliteFile file;
  file.format();
  auto engine = file.open(OpenMode::existing);
  test::run([&]() -> asio::awaitable<void> {
    ChunkKey chunk{Ino{2}, ChunkIndex{0}};
    RangeLocks ranges{SessionId{1}, 1, {{1, 1, 0, 0}}};
    co_await write(
        *engine, {PutEntry{{Ino{1}, "x"}, {Ino{2}, FileType::file}}, PutSymlink{Ino{3}, "t"},
                  PutXattr{{Ino{2}, "user.a"}, ""}, AppendSlices{chunk, {Slice{}}}, AppendSlices{chunk, {Slice{}}},
                  PutSession{SessionId{1}, {1, "{}"}}, PutRangeLocks{Ino{2}, ranges}, InsertAcl{{}},
                  PutDelayedSlices{SliceId{1}, 1, {}}, PutFileLock{Ino{2}, {SessionId{1}, 0xF000000000000000, true}}});
    co_await engine->close();
  });
  OtherProgram other(file.path());
  EXPECT_EQ(
      other.rows("SELECT typeof(name) FROM jfs_edge UNION ALL SELECT typeof(target) FROM jfs_symlink UNION ALL "
                 "SELECT typeof(value) FROM jfs_xattr UNION ALL SELECT typeof(slices) FROM jfs_chunk UNION ALL "
                 "SELECT typeof(info) FROM jfs_session2 UNION ALL SELECT typeof(records) FROM jfs_plock UNION ALL "
                 "SELECT typeof(named_users) FROM jfs_acl UNION ALL SELECT typeof(slices) FROM jfs_delslices"),
      std::vector<std::string>(8, "blob"));
  EXPECT_EQ(other.rows("SELECT typeof(name) FROM jfs_xattr UNION ALL SELECT typeof(name) FROM jfs_setting UNION ALL "
                       "SELECT typeof(value) FROM jfs_setting"),
            std::vector<std::string>(3, "text"));
  EXPECT_EQ(other.rows("SELECT ltype,owner FROM jfs_flock"), std::vector<std::string>{"87|-1152921504606846976"});
  EXPECT_EQ(other.rows("SELECT length(slices) FROM jfs_chunk"), std::vector<std::string>{"48"});
}

TEST(SqliteSchema, SlicesThatCameBackAsTextAreRead) {
  SqliteFile file;
  file.format();
  OtherProgram other(file.path());
  other.run(
      "INSERT INTO jfs_chunk(inode,indx,slices) VALUES(2,0,zeroblob(24)); UPDATE jfs_chunk SET "
      "slices=slices||zeroblob(24)");
  EXPECT_EQ(other.rows("SELECT typeof(slices) FROM jfs_chunk"), std::vector<std::string>{"text"});
  auto engine = file.open(OpenMode::existing);
  test::run([&]() -> asio::awaitable<void> {
    ChunkKey key{Ino{2}, ChunkIndex{0}};
    EXPECT_EQ(std::get<Slices>(co_await read(*engine, key)).size(), 2u);
    auto found = co_await engine->find_chunks(key.ino, key.index, ChunkIndex{1});
    EXPECT_TRUE(found && *found == std::vector<ChunkIndex>{key.index});
    auto outcome = co_await write(*engine, {AppendSlices{key, {Slice{0, SliceId{5}, 1, 0, 1}}}});
    EXPECT_EQ(outcome.returned, std::vector<std::int64_t>{3});
    EXPECT_EQ(std::get<Slices>(co_await read(*engine, key)).size(), 3u);
    co_await engine->close();
  });
}

}  // namespace
}  // namespace kiseki::meta
