#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "chunk/block_cache.hpp"
#include "chunk/block_reader.hpp"
#include "chunk/slice_objects.hpp"
#include "chunk/slice_writer.hpp"
#include "object/faulty_store.hpp"
#include "object/memory_store.hpp"
#include "support/run.hpp"

namespace kiseki::chunk {
namespace {

std::vector<std::byte> pattern(std::size_t size, unsigned seed) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> bytes(size);
  for (auto& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

BufferArena::Options limit(std::size_t mib) {
  BufferArena::Options options;
  options.limit_bytes = mib << 20;
  return options;
}

BlockPtr block_of(BufferArena& arena, std::uint32_t size, std::byte fill = std::byte{1}) {
  auto buffer = arena.try_allocate(size);
  EXPECT_TRUE(buffer);
  std::fill_n(buffer->data(), size, fill);
  return BlockPtr(new Block(std::move(buffer), size));
}

std::vector<std::byte> bytes_of(const Block& block) {
  std::vector<std::byte> out(block.size());
  block.copy(0, out);
  return out;
}

TEST(SliceWriter, CutsWhatWasAppendedIntoBlocks) {
  BufferArena arena(limit(32));
  for (std::uint32_t block : {65536u, 1u << 20, 4u << 20}) {
    SCOPED_TRACE(block);
    auto data = pattern(9'000'001, block);
    SliceWriter writer({block, false}, arena);
    std::vector<std::byte> back;
    std::mt19937 random(block);
    for (std::size_t at = 0; at < data.size();) {
      auto step = std::min<std::size_t>(1 + random() % 300'000, data.size() - at);
      ASSERT_EQ(writer.append({data.data() + at, step}), step);
      at += step;
      while (auto piece = writer.take_full_block()) {
        EXPECT_EQ(piece->index, back.size() / block);
        EXPECT_EQ(piece->block->size(), block);
        auto bytes = bytes_of(*piece->block);
        back.insert(back.end(), bytes.begin(), bytes.end());
      }
    }
    EXPECT_EQ(writer.size(), data.size());
    EXPECT_EQ(writer.sealed(), back.size());
    if (auto rest = writer.take_rest()) {
      auto bytes = bytes_of(*rest->block);
      back.insert(back.end(), bytes.begin(), bytes.end());
    }
    EXPECT_TRUE(back == data);
    EXPECT_EQ(writer.memory_bytes(), 0u);
  }
  EXPECT_EQ(arena.used_bytes(), 0u);
}

TEST(SliceWriter, ASmallSliceTakesOneSmallPage) {
  BufferArena arena(limit(32));
  SliceWriter writer({4u << 20, false}, arena);
  auto data = pattern(4096, 1);
  ASSERT_EQ(writer.append(data), data.size());
  EXPECT_EQ(writer.memory_bytes(), 64u << 10);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(writer.append(data), data.size());
  EXPECT_LE(writer.memory_bytes(), 512u << 10);
}

TEST(SliceWriter, OverwritesWhatIsNotTakenYet) {
  BufferArena arena(limit(32));
  SliceWriter writer({65536, false}, arena);
  auto data = pattern(150'000, 2);
  ASSERT_EQ(writer.append(data), data.size());
  auto first = writer.take_full_block();
  ASSERT_TRUE(first);
  auto other = pattern(70'000, 3);
  writer.overwrite(70'000, other);
  std::copy(other.begin(), other.end(), data.begin() + 70'000);
  std::vector<std::byte> back(data.size() - 65536);
  auto second = writer.take_full_block(), rest = writer.take_rest();
  ASSERT_TRUE(second && rest);
  second->block->copy(0, std::span(back).first(65536));
  rest->block->copy(0, std::span(back).subspan(65536));
  EXPECT_TRUE(std::equal(back.begin(), back.end(), data.begin() + 65536));
}

TEST(SliceWriter, TakesPartWhenMemoryEndsAndGoesOnWithMore) {
  BufferArena arena(limit(1));
  SliceWriter writer({1u << 20, false}, arena);
  auto data = pattern(3u << 20, 4);
  std::vector<std::byte> back;
  std::size_t at = 0;
  while (at < data.size()) {
    at += writer.append(std::span(data).subspan(at));
    while (auto piece = writer.take_full_block()) {
      auto bytes = bytes_of(*piece->block);
      back.insert(back.end(), bytes.begin(), bytes.end());
    }
    ASSERT_LE(arena.used_bytes(), 1u << 20);
  }
  EXPECT_TRUE(back == data);
}

TEST(BlockCache, HandsOutWhatItKeepsAndStaysWithinItsCapacity) {
  BufferArena arena(limit(64));
  BlockCache cache(arena, 8 << 20);
  for (std::uint64_t i = 1; i <= 40; ++i)
    cache.insert({SliceId{i}, 0}, block_of(arena, 1 << 20, static_cast<std::byte>(i)));
  EXPECT_LE(cache.counts().bytes, 8u << 20);
  EXPECT_LE(arena.used_bytes(), 8u << 20);
  auto last = cache.find({SliceId{40}, 0}, 0, 1);
  ASSERT_TRUE(last);
  EXPECT_EQ(bytes_of(*last)[5], std::byte{40});
  EXPECT_FALSE(cache.find({SliceId{1}, 0}, 0, 1));
  cache.erase({SliceId{40}, 0});
  EXPECT_FALSE(cache.contains({SliceId{40}, 0}));
  cache.clear();
  EXPECT_EQ(cache.counts().bytes, 0u);
  EXPECT_EQ(bytes_of(*last)[5], std::byte{40}) << "a pinned block outlives its eviction";
}

TEST(BlockCache, AScanDoesNotPushOutWhatIsUsedAgain) {
  BufferArena arena(limit(64));
  BlockCache cache(arena, 10 << 20);
  for (std::uint64_t i = 1; i <= 4; ++i) cache.insert({SliceId{i}, 0}, block_of(arena, 1 << 20));
  for (int round = 0; round < 3; ++round)
    for (std::uint64_t i = 1; i <= 4; ++i) ASSERT_TRUE(cache.find({SliceId{i}, 0}, 4096, 10));
  for (std::uint64_t i = 100; i < 200; ++i) {
    cache.insert({SliceId{i}, 0}, block_of(arena, 1 << 20));
    for (std::uint32_t at = 0; at < 1 << 20; at += 1 << 17) (void)cache.find({SliceId{i}, 0}, at, 1 << 17);
  }
  for (std::uint64_t i = 1; i <= 4; ++i) EXPECT_TRUE(cache.contains({SliceId{i}, 0})) << i;
}

TEST(BlockCache, SmallBlocksShareAPage) {
  BufferArena arena(limit(64));
  BlockCache cache(arena, 32 << 20);
  for (std::uint64_t i = 1; i <= 1000; ++i)
    cache.insert({SliceId{i}, 0}, block_of(arena, 4096, static_cast<std::byte>(i)));
  EXPECT_LT(arena.used_bytes(), 6u << 20);
  for (std::uint64_t i = 1; i <= 1000; ++i) {
    auto block = cache.find({SliceId{i}, 0}, 0, 4096);
    ASSERT_TRUE(block);
    EXPECT_EQ(bytes_of(*block)[4095], static_cast<std::byte>(i));
  }
}

TEST(BlockCache, GivesMemoryBackWhenTheArenaRunsOut) {
  BufferArena arena(limit(8));
  BlockCache cache(arena, 8 << 20);
  for (std::uint64_t i = 1; i <= 8; ++i) cache.insert({SliceId{i}, 0}, block_of(arena, 1 << 20));
  test::run([&]() -> asio::awaitable<void> {
    auto buffer = co_await arena.allocate(4 << 20);
    CO_ASSERT_OK(buffer);
    EXPECT_LE(arena.used_bytes(), 8u << 20);
    EXPECT_GE(cache.make_room(1 << 20), 1u << 20);
    EXPECT_LE(arena.used_bytes(), 7u << 20);
  });
}

struct Rig {
  std::shared_ptr<object::MemoryStore> memory = std::make_shared<object::MemoryStore>();
  std::shared_ptr<object::FaultyStore> store = std::make_shared<object::FaultyStore>(memory);
  BufferArena arena{limit(32)};
  BlockCache cache{arena, 16 << 20};
  BlockLayout layout{1u << 20, false};

  Async<std::vector<std::byte>> put_slice(SliceId id, std::size_t size) {
    auto data = pattern(size, static_cast<unsigned>(id.value));
    SliceWriter writer(layout, arena);
    std::vector<SliceWriter::Piece> pieces;
    for (std::size_t at = 0; at < size;) {
      at += writer.append(std::span(data).subspan(at));
      while (auto piece = writer.take_full_block())
        CO_CHECK(co_await upload_block(store, layout, {id, piece->index}, piece->block));
    }
    if (auto rest = writer.take_rest()) CO_CHECK(co_await upload_block(store, layout, {id, rest->index}, rest->block));
    co_return data;
  }
};

TEST(BlockReader, ManyReadersOfOneBlockMakeOneRequest) {
  Rig rig;
  test::run([&]() -> asio::awaitable<void> {
    auto here = co_await asio::this_coro::executor;
    BlockReader reader(rig.store, rig.layout, rig.arena, rig.cache, here, {});
    auto data = co_await rig.put_slice(SliceId{5}, 2'500'000);
    CO_ASSERT_OK(data);
    rig.store->gate([](object::Method, object::ObjectKey) -> asio::awaitable<void> {
      co_await sleep_for(std::chrono::milliseconds(5));
    });
    std::vector<Async<void>> ops;
    for (int i = 0; i < 50; ++i) {
      auto one = [](BlockReader& r, std::span<const std::byte> want) -> Async<void> {
        CO_TRY(auto block, co_await r.load({SliceId{5}, 2'500'000, 2}));
        EXPECT_TRUE(std::ranges::equal(bytes_of(*block), want));
        co_return Result<void>{};
      };
      ops.push_back(one(reader, std::span<const std::byte>(*data).subspan(2u << 20)));
    }
    CO_ASSERT_OK(co_await fan_out(std::move(ops), 50));
    EXPECT_EQ(rig.store->requests(object::Method::get), 1u);
    co_await reader.close();
  });
}

TEST(BlockReader, AnswersForAbsentAndShortObjects) {
  Rig rig;
  test::run([&]() -> asio::awaitable<void> {
    auto here = co_await asio::this_coro::executor;
    BlockReader reader(rig.store, rig.layout, rig.arena, rig.cache, here, {});
    auto absent = co_await reader.load({SliceId{9}, 100, 0});
    CO_ASSERT_TRUE(!absent);
    EXPECT_EQ(absent.error(), make_error_code(object::ObjectErrc::not_found));
    auto data = co_await rig.put_slice(SliceId{10}, 100);
    CO_ASSERT_OK(data);
    // The metadata says 200 bytes: its key is another, so put the short one there.
    object::Body body;
    body.pieces.emplace_back(*data);
    CO_ASSERT_OK(co_await rig.store->put(block_key(rig.layout, {SliceId{10}, 0}, 200), body));
    auto cut = co_await reader.load({SliceId{10}, 200, 0});
    CO_ASSERT_TRUE(!cut);
    EXPECT_EQ(to_errno(cut.error()), EIO);
    std::vector<std::byte> some(50);
    CO_ASSERT_OK(co_await reader.read_range({SliceId{10}, 200, 0}, 50, some));
    EXPECT_TRUE(std::ranges::equal(some, std::span(*data).subspan(50)));
    co_await reader.close();
  });
}

TEST(SliceObjects, RemovingASliceRemovesEveryBlock) {
  Rig rig;
  test::run([&]() -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await rig.put_slice(SliceId{11}, 3'000'000));
    EXPECT_EQ(rig.memory->count(), 3u);
    CO_ASSERT_OK(co_await remove_slice(rig.store, rig.layout, SliceId{11}, 3'000'000));
    EXPECT_EQ(rig.memory->count(), 0u);
  });
}

}  // namespace
}  // namespace kiseki::chunk
