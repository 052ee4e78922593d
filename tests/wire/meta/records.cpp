// Golden bytes: every record that a JuiceFS 1.4.1 left in Redis is read as it says, and written back to the same bytes.
#include <gtest/gtest.h>
#include <spdlog/fmt/fmt.h>

#include <boost/json.hpp>
#include <map>

#include "meta/codec.hpp"
#include "meta/format.hpp"
#include "support/fixtures.hpp"
#include "tsv.hpp"

namespace kiseki::meta {
namespace {

namespace json = boost::json;

template <std::size_t N>
std::string text_of(const std::array<std::byte, N>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), N};
}

struct Golden {
  std::string key, field, bytes;
  json::object says;

  std::int64_t number(const char* name) const { return says.at(name).to_number<std::int64_t>(); }
  std::uint64_t id(const char* name) const { return says.at(name).to_number<std::uint64_t>(); }
};

std::multimap<std::string, Golden> golden_records() {
  std::multimap<std::string, Golden> all;
  auto shared = test::shared_folder();
  if (!shared) return all;
  for (auto& row : test::read_tsv(*shared / "fixtures/redis-rich/records.tsv")) {
    auto key = test::unpercent(row.at(1));
    auto blank = key.find(' ');
    Golden golden{
        key.substr(0, blank), blank == std::string::npos ? "" : key.substr(blank + 1), test::unhex(row.at(2)), {}};
    if (auto says = json::parse(row.at(3)); says.is_object()) golden.says = says.as_object();
    all.emplace(row.at(0), std::move(golden));
  }
  return all;
}

/// Calls `look` with every record of a kind; there must be some.
template <class F>
void each(const char* kind, F look) {
  static const auto all = golden_records();
  if (all.empty()) GTEST_SKIP() << "SKIPPED: no shared fixtures";
  auto [at, end] = all.equal_range(kind);
  ASSERT_NE(at, end) << "no record of kind " << kind;
  for (; at != end; ++at) {
    SCOPED_TRACE(at->second.key + " " + at->second.field);
    look(at->second);
  }
}

Timestamp time_of(const Golden& g, const char* name) {
  auto& both = g.says.at(name).as_array();
  return {both[0].to_number<std::int64_t>(), both[1].to_number<std::uint32_t>()};
}

TEST(GoldenRecords, Attributes) {
  each("attr", [](const Golden& g) {
    auto attr = codec::decode_attr(g.bytes);
    ASSERT_TRUE(attr);
    EXPECT_EQ(static_cast<std::int64_t>(attr->type), g.number("type"));
    EXPECT_EQ(attr->mode, std::stoul(std::string(g.says.at("mode").as_string()), nullptr, 8));
    EXPECT_EQ(attr->flags, g.number("flags"));
    EXPECT_EQ(attr->uid, g.id("uid"));
    EXPECT_EQ(attr->gid, g.id("gid"));
    EXPECT_EQ(attr->nlink, g.id("nlink"));
    EXPECT_EQ(attr->length, g.id("length"));
    EXPECT_EQ(attr->rdev, g.id("rdev"));
    EXPECT_EQ(attr->parent.value, g.id("parent"));
    EXPECT_EQ(attr->atime, time_of(g, "atime"));
    EXPECT_EQ(attr->mtime, time_of(g, "mtime"));
    EXPECT_EQ(attr->ctime, time_of(g, "ctime"));
    if (g.says.contains("access_acl")) EXPECT_EQ(attr->access_acl, g.id("access_acl"));
    if (g.says.contains("default_acl")) EXPECT_EQ(attr->default_acl, g.id("default_acl"));
    EXPECT_EQ(codec::encode(*attr), g.bytes);
    for (std::size_t size = 0; size < 63; ++size) EXPECT_FALSE(codec::decode_attr(g.bytes.substr(0, size)));
    EXPECT_EQ(codec::decode_attr(g.bytes.substr(0, 63))->parent, Ino{0}) << "very old clients left it out";
  });
}

TEST(GoldenRecords, AttributeTails) {
  Attr attr;
  attr.flags = 1, attr.mode = 0644, attr.uid = 1000, attr.gid = 1001, attr.atime = {1, 4}, attr.mtime = {2, 5},
  attr.ctime = {3, 6};
  attr.nlink = 1, attr.length = 0x1122, attr.parent = Ino{7};
  auto base = test::unhex(
      "0111a4000003e8000003e900000000000000010000000400000000000000020000000500000000000000030000000600000001"
      "0000000000001122000000000000000000000007");
  EXPECT_EQ(codec::encode(attr), base + std::string(1, '\0'));
  attr.tier = 2;
  EXPECT_EQ(codec::encode(attr), base + std::string("\2\0", 2));
  EXPECT_EQ(codec::decode_attr(codec::encode(attr)), attr);
  attr.default_acl = 9;
  EXPECT_EQ(codec::encode(attr), base + std::string("\0\0\0\0\0\0\0\x9\2\0", 10));
  EXPECT_EQ(codec::decode_attr(codec::encode(attr)), attr);
  attr.tier = 0;
  EXPECT_EQ(codec::encode(attr).size(), 80u);
  EXPECT_EQ(codec::decode_attr(codec::encode(attr)), attr);
}

TEST(GoldenRecords, Entries) {
  each("dentry", [](const Golden& g) {
    auto entry = codec::decode_entry(g.bytes);
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->ino.value, g.id("inode"));
    EXPECT_EQ(static_cast<std::int64_t>(entry->type), g.number("type"));
    EXPECT_EQ(text_of(codec::encode(*entry)), g.bytes);
    EXPECT_FALSE(codec::decode_entry(g.bytes + "x"));
    EXPECT_FALSE(codec::decode_entry(g.bytes.substr(1)));
  });
}

TEST(GoldenRecords, Slices) {
  each("slice", [](const Golden& g) {
    auto slices = codec::decode_slices(g.bytes);
    ASSERT_TRUE(slices);
    ASSERT_EQ(slices->size(), 1u);
    Slice says{static_cast<std::uint32_t>(g.id("pos")), SliceId{g.id("id")}, static_cast<std::uint32_t>(g.id("size")),
               static_cast<std::uint32_t>(g.id("off")), static_cast<std::uint32_t>(g.id("len"))};
    EXPECT_EQ(slices->front(), says);
    EXPECT_EQ(text_of(codec::encode(says)), g.bytes);
    EXPECT_FALSE(codec::decode_slices(g.bytes.substr(1)));
  });
  EXPECT_FALSE(codec::decode_slices(codec::encode(Slices{{0xFFFFFFFF, SliceId{1}, 1, 0, 0xFFFFFFFF}})))
      << "beyond the chunk";
}

TEST(GoldenRecords, AclRules) {
  each("acl", [](const Golden& g) {
    auto rule = codec::decode_acl(g.bytes);
    ASSERT_TRUE(rule);
    EXPECT_EQ(rule->owner, g.id("owner"));
    EXPECT_EQ(rule->group, g.id("group"));
    EXPECT_EQ(rule->mask, g.id("mask"));
    EXPECT_EQ(rule->other, g.id("other"));
    for (auto& [name, entries] : {std::pair("users", &rule->users), std::pair("groups", &rule->groups)}) {
      auto& says = g.says.at(name).as_array();
      ASSERT_EQ(entries->size(), says.size());
      for (std::size_t i = 0; i < says.size(); ++i) {
        EXPECT_EQ((*entries)[i].id, says[i].as_array()[0].to_number<std::uint32_t>());
        EXPECT_EQ((*entries)[i].perm, says[i].as_array()[1].to_number<std::uint16_t>());
      }
    }
    EXPECT_EQ(codec::encode(*rule), g.bytes);
    for (std::size_t size = 0; size < g.bytes.size(); ++size) EXPECT_FALSE(codec::decode_acl(g.bytes.substr(0, size)));
  });
  EXPECT_FALSE(codec::decode_acl(test::unhex("0007000500070004ffffffff"))) << "a count that lies";
}

TEST(GoldenRecords, FileLocks) {
  each("flock", [](const Golden& g) {
    auto field = codec::decode_lock_field(g.field);
    ASSERT_TRUE(field);
    EXPECT_EQ(field->sid.value, g.id("sid"));
    EXPECT_EQ(fmt::format("{:016X}", field->owner), std::string(g.says.at("owner").as_string()));
    EXPECT_EQ(codec::encode(*field), g.field);
    auto exclusive = codec::decode_lock_type(g.bytes.at(0));
    ASSERT_TRUE(exclusive);
    EXPECT_EQ(std::string(1, codec::encode_lock_type(*exclusive)), g.bytes);
    EXPECT_EQ(g.says.at("type").as_string(), g.bytes);
  });
  for (auto* bad : {"", "6", "6_", "_1", "6_XYZ", "x_1", "6_11111111111111111"})
    EXPECT_FALSE(codec::decode_lock_field(bad)) << bad;
}

TEST(GoldenRecords, RangeLocks) {
  each("plock", [](const Golden& g) {
    auto ranges = codec::decode_ranges(g.bytes);
    ASSERT_TRUE(ranges);
    auto& says = g.says.at("locks").as_array();
    ASSERT_EQ(ranges->size(), says.size());
    for (std::size_t i = 0; i < says.size(); ++i) {
      auto& one = says[i].as_object();
      EXPECT_EQ((*ranges)[i].type, one.at("type").to_number<std::uint32_t>());
      EXPECT_EQ((*ranges)[i].pid, one.at("pid").to_number<std::uint32_t>());
      EXPECT_EQ((*ranges)[i].start, one.at("start").to_number<std::uint64_t>());
      EXPECT_EQ((*ranges)[i].end, one.at("end").to_number<std::uint64_t>());
    }
    EXPECT_EQ(codec::encode(*ranges), g.bytes);
    EXPECT_FALSE(codec::decode_ranges(g.bytes.substr(1)));
  });
}

TEST(GoldenRecords, QuotasAndNumbers) {
  each("quota", [](const Golden& g) {
    auto quota = codec::decode_limits(g.bytes);
    ASSERT_TRUE(quota);
    EXPECT_EQ(quota->max_space, g.number("max_space"));
    EXPECT_EQ(quota->max_inodes, g.number("max_inodes"));
    EXPECT_EQ(codec::encode_limits(*quota), g.bytes);
    EXPECT_FALSE(codec::decode_limits(g.bytes.substr(1)));
  });
  for (auto* kind : {"quota-used", "dirstat", "counter"})
    each(kind, [](const Golden& g) { EXPECT_EQ(codec::decode_number(g.bytes), g.number("value")); });
  each("parent", [](const Golden& g) { EXPECT_EQ(codec::decode_number(g.bytes), g.number("links")); });
  for (auto* bad : {"", "x", "1x", " 1", "99999999999999999999"}) EXPECT_FALSE(codec::decode_number(bad)) << bad;
}

TEST(GoldenRecords, SliceReferences) {
  each("slice-ref", [](const Golden& g) {
    auto field = codec::decode_slice_field(g.field);
    ASSERT_TRUE(field);
    EXPECT_EQ(field->id.value, g.id("id"));
    EXPECT_EQ(field->size, g.id("size"));
    EXPECT_EQ(codec::encode(*field), g.field);
    EXPECT_EQ(codec::refs_of_stored(*codec::decode_number(g.bytes)), g.number("references"));
    EXPECT_EQ(fmt::format("{}", codec::stored_refs(g.number("references"))), g.bytes);
  });
}

TEST(GoldenRecords, DelayedSlices) {
  each("delayed-slices", [](const Golden& g) {
    auto field = codec::decode_delayed_field(g.field);
    ASSERT_TRUE(field);
    EXPECT_EQ(codec::encode(*field), g.field);
    auto slices = codec::decode_delayed(g.bytes);
    ASSERT_TRUE(slices);
    auto& says = g.says.at("slices").as_array();
    ASSERT_EQ(slices->size(), says.size());
    for (std::size_t i = 0; i < says.size(); ++i) {
      EXPECT_EQ((*slices)[i].id.value, says[i].as_array()[0].to_number<std::uint64_t>());
      EXPECT_EQ((*slices)[i].size, says[i].as_array()[1].to_number<std::uint32_t>());
    }
    EXPECT_EQ(codec::encode(*slices), g.bytes);
    EXPECT_FALSE(codec::decode_delayed(g.bytes.substr(1)));
  });
}

TEST(GoldenRecords, DeletedFiles) {
  each("delfile", [](const Golden& g) {
    auto member = codec::decode_deleted_member(g.bytes);
    ASSERT_TRUE(member);
    EXPECT_EQ(member->ino.value, g.id("inode"));
    EXPECT_EQ(member->length, g.id("length"));
    EXPECT_EQ(codec::encode(*member), g.bytes);
  });
}

TEST(GoldenRecords, Setting) {
  each("setting", [](const Golden& g) {
    auto format = Format::parse(g.bytes);
    ASSERT_TRUE(format);
    EXPECT_EQ(format->name, "redis-rich");
    EXPECT_TRUE(format->enable_acl && format->user_group_quota && format->dir_stats);
    EXPECT_TRUE(format->unknown.empty());
    EXPECT_TRUE(format->check_version());
    EXPECT_EQ(format->to_json(), g.bytes) << "to the byte";
  });
}

}  // namespace
}  // namespace kiseki::meta
