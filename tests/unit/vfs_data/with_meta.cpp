// The data path over the real metadata operations: references are counted, nothing is left behind.
#include <set>
#include <variant>

#include "fakes.hpp"
#include "meta/client.hpp"
#include "meta/memory/engine.hpp"
#include "meta/ops.hpp"
#include "meta/volume_format.hpp"
#include "vfs/reaper.hpp"

namespace kiseki::vfs {
namespace {

struct OpenedLate : meta::OpenInodes {
  bool is_open(Ino) const override { return true; }
};

TEST(FileDataOverMeta, ScatteredWritesAreCommittedTogetherAndGoWithTheirFile) {
  test::run([]() -> asio::awaitable<void> {
    auto home = co_await asio::this_coro::executor;
    auto clock = std::make_shared<ManualClock>();
    auto engine = std::make_shared<meta::MemoryEngine>();
    meta::Format plain;
    plain.name = "test";
    plain.trash_days = 0;
    auto format = co_await meta::format_volume(*engine, plain, *clock);
    CO_ASSERT_TRUE(format);
    meta::Client client(engine, *format, clock, meta::ClientOptions{});
    client.set_session(SessionId{1});
    auto store = std::make_shared<object::MemoryStore>();
    BufferArena arena({});
    FileDataOptions options;
    options.clock = clock;
    options.home = home;
    options.compaction = false;
    SliceReaper reaper(client, store, options.layout, home, {});
    client.set_reaper(&reaper);
    auto data = make_file_data(make_slice_meta(client), store, arena, options);

    auto made = co_await meta::make(client, {}, kRootIno, "f", {meta::FileType::file, 0644, 0, 0, {}});
    CO_ASSERT_OK(made);
    auto ino = made->ino;
    std::vector<std::byte> want(200 * 8192 + 4096);
    auto base = kChunkBytes - 100 * 8192;  // over a chunk border
    for (std::uint64_t turn = 0; turn < 2; ++turn) {
      for (std::uint64_t i = 0; i <= 200; ++i) {
        auto bytes = fake::pattern(4096, 1000 * turn + i);
        CO_ASSERT_OK(co_await data->write(ino, base + i * 8192, bytes).get());
        std::copy(bytes.begin(), bytes.end(), want.begin() + static_cast<std::ptrdiff_t>(i * 8192));
      }
      CO_ASSERT_OK(co_await data->flush(ino).get());
    }
    EXPECT_LE(store->count(), 8u);
    auto attr = co_await meta::getattr(client, ino);
    CO_ASSERT_OK(attr);
    EXPECT_EQ(attr->length, base + want.size());
    auto stream = data->open_stream(ino);
    auto reply = co_await data->read(*stream, ino, base, static_cast<std::uint32_t>(want.size()), attr->length).get();
    CO_ASSERT_OK(reply);
    EXPECT_TRUE(fake::bytes_of(*reply) == want);

    CO_ASSERT_OK(co_await data->compact(ino, ChunkIndex{0}));
    auto records = co_await meta::read_slices(client, ino, ChunkIndex{0});
    CO_ASSERT_OK(records);
    EXPECT_EQ(records->size(), 100u) << "one slice; its holes stay";
    auto ref = co_await client.read(meta::Keys{meta::SliceRefKey{records->front().id, 100 * 4096}});
    CO_ASSERT_OK(ref);
    EXPECT_EQ(ref->front(), meta::Record(meta::SliceRef{100 * 4096, 100}));
    reply = co_await data->read(*stream, ino, base, static_cast<std::uint32_t>(want.size()), attr->length).get();
    CO_ASSERT_OK(reply);
    EXPECT_TRUE(fake::bytes_of(*reply) == want);
    *reply = ReadReply{};

    CO_ASSERT_OK(co_await meta::unlink(client, {}, kRootIno, "f"));
    OpenedLate late;  // while the name went
    client.set_open_inodes(&late);
    co_await sleep_for(std::chrono::milliseconds(200));
    EXPECT_GT(store->count(), 0u) << "somebody reads it";
    client.set_open_inodes(nullptr);
    co_await reaper.drain();
    EXPECT_EQ(store->count(), 0u) << "the last reference of every slice went";
    stream.reset();
    CO_ASSERT_OK(co_await data->close());
    co_await reaper.close();
    data.reset();
  });
}

/// An engine on which others are faster to delete: the first to erase each kind of record comes too late.
struct Beaten final : meta::MemoryEngine {
  Async<meta::Outcome> commit(meta::Commit commit) override {
    for (auto& write : commit.writes) {
      bool erases =
          std::holds_alternative<meta::EraseChunk>(write) || std::holds_alternative<meta::EraseSliceRef>(write);
      if (erases && slower.insert(write.index()).second) co_return meta::Outcome{};
    }
    co_return co_await meta::MemoryEngine::commit(std::move(commit));
  }
  std::set<std::size_t> slower;
};

TEST(SliceReaper, WhoIsOnlySlowerThanOthersSaysNothing) {
  test::run([]() -> asio::awaitable<void> {
    auto clock = std::make_shared<ManualClock>();
    auto engine = std::make_shared<Beaten>();
    meta::Format plain;
    plain.trash_days = 0;
    meta::Client client(engine, plain, clock, meta::ClientOptions{});
    client.set_session(SessionId{1});
    auto store = std::make_shared<object::MemoryStore>();
    SliceReaper reaper(client, store, {}, co_await asio::this_coro::executor, {});
    constexpr meta::DelayedSlice kSlice{SliceId{5}, 10};
    meta::Commit commit;
    commit.writes.push_back(meta::AddSliceRef{kSlice.id, kSlice.size, 1, true});
    commit.writes.push_back(meta::AppendSlices{{Ino{9}, ChunkIndex{0}}, {Slice{0, kSlice.id, kSlice.size, 0, 10}}});
    CO_ASSERT_OK(co_await client.commit(std::move(commit)));
    client.set_reaper(&reaper);

    testing::internal::CaptureStderr();
    reaper.file_removed(Ino{9}, 10);
    co_await reaper.drain();
    EXPECT_EQ(engine->slower.size(), 1u);
    reaper.file_removed(Ino{9}, 10);
    co_await reaper.drain();
    EXPECT_EQ(engine->slower.size(), 2u);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
    reaper.slices_released({kSlice});
    co_await reaper.drain();
    auto records = co_await engine->fetch(meta::Keys{meta::SliceRefKey{kSlice.id, kSlice.size}});
    CO_ASSERT_OK(records);
    EXPECT_EQ(records->front(), meta::Record());
    co_await reaper.close();
    client.set_reaper(nullptr);
  });
}

}  // namespace
}  // namespace kiseki::vfs
