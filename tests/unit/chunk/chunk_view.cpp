#include "chunk/chunk_view.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <random>
#include <sstream>

#include "chunk/block_key.hpp"
#include "core/big_endian.hpp"
#include "support/fixtures.hpp"

namespace kiseki::chunk {
namespace {

/// What a chunk shows, byte by byte, painted in order: shares nothing with the sweep.
struct Painted {
  explicit Painted(const Slices& records, std::size_t size) : id(size), off(size) {
    for (const auto& r : records)
      for (std::uint32_t i = 0; i < r.len && r.pos + i < size; ++i) {
        bool shows = r.id.value != 0 && r.off + i < r.size;
        id[r.pos + i] = shows ? r.id.value : 0;
        off[r.pos + i] = shows ? r.off + i : 0;
      }
  }
  std::vector<std::uint64_t> id;
  std::vector<std::uint32_t> off;
};

void expect_same(const ChunkView& view, const Painted& painted) {
  std::vector<std::uint64_t> id(painted.id.size());
  std::vector<std::uint32_t> off(painted.id.size());
  std::uint64_t end = 0;
  for (const auto& piece : view.pieces()) {
    ASSERT_GE(piece.pos, end) << "pieces overlap or are out of order";
    ASSERT_GT(piece.len, 0u);
    end = std::uint64_t{piece.pos} + piece.len;
    for (std::uint32_t i = 0; i < piece.len && piece.pos + i < id.size(); ++i) {
      id[piece.pos + i] = piece.id.value;
      off[piece.pos + i] = piece.off + i;
    }
  }
  EXPECT_EQ(id, painted.id);
  EXPECT_EQ(off, painted.off);
}

TEST(ChunkView, AgreesWithPaintingRandomRecords) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    auto below = [&random](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
    Slices records;
    for (std::uint32_t i = 0, n = below(60); i < n; ++i) {
      auto size = 1 + below(200), off = below(size);
      bool hole = below(5) == 0;
      records.push_back({below(1000), SliceId{hole ? 0 : 1 + below(20)}, hole ? 0 : size, hole ? 0 : off,
                         below(size - off + 1) + (hole ? below(300) : 0)});
      if (below(10) == 0) records.back().len += 50;  // claims more than its slice has
    }
    expect_same(ChunkView::of(records), Painted(records, 2000));
  }
}

TEST(ChunkView, NothingShowsPastTheChunk) {
  Slices records{{(64u << 20) - 10, SliceId{1}, 100, 0, 100}};
  auto view = ChunkView::of(records);
  ASSERT_EQ(view.pieces().size(), 1u);
  EXPECT_EQ(view.pieces()[0].len, 10u);
}

TEST(ChunkView, JoinsWhatContinuesItself) {
  Slices records{{0, SliceId{7}, 100, 0, 50}, {50, SliceId{7}, 100, 50, 50}};
  auto view = ChunkView::of(records);
  ASSERT_EQ(view.pieces().size(), 1u);
  EXPECT_EQ(view.pieces()[0], (Slice{0, SliceId{7}, 100, 0, 100}));
}

TEST(ChunkView, HolesAreToldInWholePages) {
  auto data = [](std::uint32_t second) {
    return ChunkView::of({{100, SliceId{1}, 10, 0, 10}, {second, SliceId{2}, 10, 0, 10}}).data();
  };
  EXPECT_TRUE(ChunkView::of({{0, SliceId{0}, 0, 0, 50}}).data().empty());
  EXPECT_EQ(data(4096 + 4095), (std::vector<Stretch>{{100, 8201}})) << "the page between is not empty";
  EXPECT_EQ(data(2 * 4096), (std::vector<Stretch>{{100, 110}, {8192, 8202}}));
  EXPECT_EQ(data(110), (std::vector<Stretch>{{100, 120}}));
  auto end = static_cast<std::uint32_t>(kChunkBytes);
  EXPECT_EQ(data(end - 5), (std::vector<Stretch>{{100, 110}, {end - 5, end}}));
}

TEST(ChunkView, FindsTheFirstPieceAfterAPosition) {
  auto view = ChunkView::of({{10, SliceId{1}, 10, 0, 10}, {30, SliceId{2}, 10, 0, 10}});
  EXPECT_EQ(view.first_after(0)->pos, 10u);
  EXPECT_EQ(view.first_after(19)->pos, 10u);
  EXPECT_EQ(view.first_after(20)->pos, 30u);
  EXPECT_EQ(view.first_after(40), view.pieces().end());
}

TEST(ChunkView, ThousandsOfRecordsAreResolvedQuickly) {
  std::mt19937 random(1);
  Slices records;
  for (std::uint32_t i = 0; i < 2500; ++i)
    records.push_back({static_cast<std::uint32_t>(random() % (63u << 20)), SliceId{i + 1}, 1u << 20, 0,
                       static_cast<std::uint32_t>(random() % (1u << 20))});
  auto begun = std::chrono::steady_clock::now();
  auto view = ChunkView::of(records);
  auto took = std::chrono::steady_clock::now() - begun;
  EXPECT_GT(view.pieces().size(), 100u);
  EXPECT_LT(took, std::chrono::milliseconds(50));
}

// ---- volumes that JuiceFS made ----------------------------------------------------------------------------------

Slices records_of(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  Slices records;
  BigEndianReader in(bytes);
  while (in.left() > 0) {
    Slice s;
    s.pos = in.u32();
    s.id = SliceId{in.u64()};
    s.size = in.u32();
    s.off = in.u32();
    s.len = in.u32();
    records.push_back(s);
  }
  EXPECT_TRUE(in.ok());
  return records;
}

/// `a:b:c...` separated by blanks, as numbers; the key of an object stays text.
std::vector<std::vector<std::string>> tuples_of(const std::string& column) {
  std::vector<std::vector<std::string>> tuples;
  std::istringstream words(column);
  for (std::string word; words >> word;) {
    std::vector<std::string> parts;
    std::istringstream in(word);
    for (std::string part; std::getline(in, part, ':');) parts.push_back(part);
    tuples.push_back(parts);
  }
  return tuples;
}

Slices resolved_of(const std::string& column) {
  Slices records;
  auto u32 = [](const std::string& s) { return static_cast<std::uint32_t>(std::stoul(s)); };
  for (const auto& t : tuples_of(column))
    records.push_back({u32(t[0]), SliceId{std::stoull(t[1])}, u32(t[2]), u32(t[3]), u32(t[4])});
  return records;
}

/// The objects a view reads, as `juicefs info` lists them; holes left out.
std::vector<std::string> objects_of(const ChunkView& view, const BlockLayout& layout, const std::string& volume) {
  std::vector<std::string> out;
  for (const auto& piece : view.pieces()) {
    auto at = piece.off, end = piece.off + piece.len;
    while (at < end) {
      auto index = at / layout.block_bytes;
      auto length = layout.length_of(piece.size, index);
      auto from = at % layout.block_bytes;
      auto len = std::min(end - at, length - from);
      out.push_back(volume + "/" + block_key(layout, {piece.id, index}, length) + ":" + std::to_string(length) + ":" +
                    std::to_string(from) + ":" + std::to_string(len));
      at += len;
    }
  }
  return out;
}

std::string json_value(const std::string& text, const std::string& key) {
  auto at = text.find("\"" + key + "\": ");
  return at == std::string::npos
             ? ""
             : text.substr(at + key.size() + 4, text.find_first_of(",\n", at) - at - key.size() - 4);
}

TEST(ChunkViewFixtures, EveryChunkOfEveryVolumeResolvesAsJuiceFSDoes) {
  auto shared = test::shared_folder();
  if (!shared) GTEST_SKIP() << "no shared fixtures (KISEKI_SHARED)";
  std::size_t chunks = 0, volumes = 0;
  for (const auto& folder : std::filesystem::directory_iterator(*shared / "fixtures")) {
    std::ifstream table(folder.path() / "CHUNKS.tsv");
    if (!table) continue;
    ++volumes;
    std::ifstream config(folder.path() / "volume.json");
    std::string json((std::istreambuf_iterator<char>(config)), {});
    BlockLayout layout;
    layout.block_bytes = static_cast<std::uint32_t>(std::stoul(json_value(json, "block_bytes")));
    layout.hash_prefix = json.find("--hash-prefix") != std::string::npos;
    auto name = folder.path().filename().string();
    std::string line;
    std::getline(table, line);
    while (std::getline(table, line)) {
      SCOPED_TRACE(name + ": " + line.substr(0, 80));
      std::vector<std::string> column;
      std::istringstream in(line);
      for (std::string cell; std::getline(in, cell, '\t');) column.push_back(cell);
      ASSERT_GE(column.size(), 4u);
      auto view = ChunkView::of(records_of(column[2]));
      // JuiceFS's list is disjoint; resolving it again only joins neighbours and drops holes.
      auto expected = ChunkView::of(resolved_of(column[3]));
      EXPECT_EQ(view.pieces(), expected.pieces());
      std::vector<std::string> want;
      std::string listed = column.size() > 4 ? column[4] : "";
      std::istringstream words(listed);
      for (std::string word; words >> word;)
        if (word[0] != ':' && word != "-") want.push_back(word);
      if (listed == "-") continue;  // in the trash: not listed
      auto have = objects_of(view, layout, name);
      // JuiceFS cuts where records ended; ours joins, so compare covered bytes by key.
      auto covered = [](const std::vector<std::string>& list) {
        std::map<std::string, std::map<std::uint64_t, int>> edges;
        for (const auto& item : list) {
          auto t = tuples_of(item)[0];
          auto& e = edges[t[0] + ":" + t[1]];
          e[std::stoull(t[2])] += 1;
          e[std::stoull(t[2]) + std::stoull(t[3])] -= 1;
        }
        for (auto& [key, e] : edges) std::erase_if(e, [](const auto& edge) { return edge.second == 0; });
        return edges;
      };
      EXPECT_EQ(covered(have), covered(want));
      ++chunks;
    }
  }
  EXPECT_GE(volumes, 10u);
  EXPECT_GT(chunks, 500u);
}

TEST(BlockKey, NamesAreJuiceFSNames) {
  BlockLayout plain;
  EXPECT_EQ(block_key(plain, {SliceId{1}, 0}, 5), "chunks/0/0/1_0_5");
  EXPECT_EQ(block_key(plain, {SliceId{1234567}, 1}, plain.length_of(5'000'000, 1)), "chunks/1/1234/1234567_1_805696");
  BlockLayout hashed;
  hashed.hash_prefix = true;
  EXPECT_EQ(block_key(hashed, {SliceId{1234567}, 0}, 4194304), "chunks/87/1/1234567_0_4194304");
  EXPECT_EQ(plain.blocks_of(0), 0u);
  EXPECT_EQ(plain.blocks_of(4194304), 1u);
  EXPECT_EQ(plain.blocks_of(4194305), 2u);
  EXPECT_EQ(plain.length_of(4194305, 1), 1u);
  EXPECT_EQ(plain.length_of(4194305, 2), 0u);
}

}  // namespace
}  // namespace kiseki::chunk
